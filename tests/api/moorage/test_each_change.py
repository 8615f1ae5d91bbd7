"""
Each committed change leaves an event: every transaction of a long story is looked at, whatever verb it belongs to.

What a transaction writes to a table in `TOLD` needs an event about a resource of that kind, written by the same
transaction. `SILENT` are columns that tell nobody anything: what bytes lie on, and times. A table that is in neither
list is a failure, so that whoever adds one has to decide.
"""

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from sqlalchemy import Delete, Insert, Update

from moorage.database import Transaction
from moorage.database.fixed import Fixed
from moorage.database.schema import metadata
from tests.cloud import Cloud, Reply, running

V = {"OpenStack-API-Version": "volume 3.71"}

TOLD = {
    "volumes": {"volume"},
    "attachments": {"attachment"},
    "attachment_queue": {"attachment"},
    "images": {"image"},
    "image_members": {"image"},
    "image_properties": {"image"},
    "image_tags": {"image"},
    "volume_types": {"volume-type"},
    "type_access": {"volume-type"},
    "default_types": {"volume-type"},
    "qos_specs": {"qos"},
    "quotas": {"quota", "volume"},  # what is used changes with volumes
    "image_quotas": {"quota", "image"},  # made when it is first decided on, before an image or its bytes
    "metadef_namespaces": {"namespace"},
    "metadef_associations": {"namespace"},
    "metadef_definitions": {"namespace"},
    "metadef_resource_types": {"namespace"},
    "service_states": {"service"},
}

#: Tables of which nobody is told: the journal's own, what bytes lie on, what is told of by another table's events.
NOT_TOLD = {
    *("schema_changes", "operations", "processes", "jobs", "events", "event_floor"),
    *("layers", "copies", "image_locations", "image_digests", "image_hashes", "image_reservations", "hosts"),
    *("image_staged", "image_tasks", "image_task_stores"),  # told of as changes and progress of the image
    *("leases", "hearing"),  # renewed all the time; what lapses is told of as a change of the attachment
    "cloud",  # the database's own name, which never changes
}

#: To forget what is over is no change: attachments after months, a place in a queue that has been served.
FORGETTING = {("attachments", "Delete"), ("attachment_queue", "Delete")}

SILENT = {"head", "base", "made", "updated_at", "version", "digests"}


Written = tuple[dict[str, set[str]], set[str]]


class Watch:
    """Every committed transaction's writes, with the kinds that its events are about."""

    def __init__(self) -> None:
        self.found: list[Written] = []
        self._open: WeakKeyDictionary[Transaction, Written] = WeakKeyDictionary()

    def note(self, tx: Transaction, statement: Any, values: Any) -> None:
        """A statement of `tx`."""
        plain = statement.statement if isinstance(statement, Fixed) else statement
        if not isinstance(plain, Insert | Update | Delete):
            return
        written, told = self._open.setdefault(tx, (defaultdict(set), set()))
        table: Any = plain.table
        if table.name == "events":
            told |= {values["resource_kind"]} if isinstance(plain, Insert) else set()
        elif isinstance(plain, Update):
            written[table.name] |= {getattr(column, "name", column) for column in plain._values or ()}
        else:
            written[table.name] |= {type(plain).__name__}

    def committed(self, tx: Transaction) -> None:
        """That it was."""
        if tx in self._open:
            self.found.append(self._open.pop(tx))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    seen = Watch()

    def noting(name: str) -> None:
        asked = getattr(Transaction, name)

        def note(self: Transaction, statement: Any, values: Any = None) -> Any:
            seen.note(self, statement, values)
            return asked(self, statement, values)

        monkeypatch.setattr(Transaction, name, note)

    for name in ("run", "one", "all", "value"):
        noting(name)
    announce = Transaction.announce

    def announced(self: Transaction) -> None:
        seen.committed(self)
        announce(self)

    monkeypatch.setattr(Transaction, "announce", announced)
    return seen


@pytest.fixture
def cloud(database_url: str, state_dir: Path, watch: Watch) -> Iterator[Cloud]:
    with running(state_dir, "" if database_url.startswith("sqlite") else database_url) as cloud:
        yield cloud


class Story:
    """Calls that must succeed."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def ask(self, method: str, url: str, body: Any = None, as_: str = "moorage-admin", **more: Any) -> Any:
        reply: Reply = self.cloud.call(method, url, body, as_=as_, headers={**V, **more.pop("headers", {})}, **more)
        assert reply.status < 300, (method, url, reply.status, reply.body)
        return reply.json if reply.body else None

    def volumes(self) -> None:
        ask, v = self.ask, "/volume/v3"
        id = ask("POST", f"{v}/volumes", {"volume": {"size": 1}})["volume"]["id"]
        self.until(id, "available")
        ask("PUT", f"{v}/volumes/{id}", {"volume": {"name": "n"}})
        ask("POST", f"{v}/volumes/{id}/metadata", {"metadata": {"a": "b"}})
        for action in (
            {"os-extend": {"new_size": 2}},
            {"os-update_readonly_flag": {"readonly": True}},
            {"os-set_bootable": {"bootable": True}},
            {"os-set_image_metadata": {"metadata": {"x": "y"}}},
            {"os-reset_status": {"status": "error"}},
            {"os-reset_status": {"status": "available"}},
        ):
            ask("POST", f"{v}/volumes/{id}/action", action)
            self.until(id, "error" if "error" in str(action) else "available")
        connector = {"nbd": True, "host": "h"}
        for asked in ({}, {"connector": connector}):
            claim = ask("POST", f"{v}/attachments", {"attachment": {"volume_uuid": id, **asked}})["attachment"]["id"]
            ask("PUT", f"{v}/attachments/{claim}", {"attachment": {"connector": connector}})
            ask("POST", f"{v}/attachments/{claim}/action", {"os-complete": None})
            ask("DELETE", f"{v}/attachments/{claim}")
        held, waits = {"attachment": {"volume_uuid": id}}, {"headers": {"Moorage-Wait": "60"}}
        first = ask("POST", f"{v}/attachments", held)["attachment"]["id"]
        with ThreadPoolExecutor(1) as clients:
            second = clients.submit(ask, "POST", f"{v}/attachments", held, **waits)
            while not ask("GET", "/moorage/v1/queue")["queue"]:
                pass
            ask("DELETE", f"{v}/attachments/{first}")
            ask("DELETE", f"{v}/attachments/{second.result()['attachment']['id']}")
        ask("DELETE", f"{v}/volumes/{id}")
        self.until(id, "gone")

    def until(self, id: str, status: str) -> None:
        while True:
            reply = self.cloud.call("GET", f"/volume/v3/volumes/{id}", as_="moorage-admin", headers=V)
            if (reply.json["volume"]["status"] if reply.status == 200 else "gone") == status:
                return

    def types(self) -> None:
        ask, v, project = self.ask, "/volume/v3", "1" * 32
        asked = {"volume_type": {"name": "t", "os-volume-type-access:is_public": False}}
        id = ask("POST", f"{v}/types", asked)["volume_type"]["id"]
        ask("PUT", f"{v}/types/{id}", {"volume_type": {"description": "d"}})
        ask("POST", f"{v}/types/{id}/extra_specs", {"extra_specs": {"k": "v"}})
        ask("DELETE", f"{v}/types/{id}/extra_specs/k")
        ask("POST", f"{v}/types/{id}/action", {"addProjectAccess": {"project": project}})
        ask("POST", f"{v}/types/{id}/action", {"removeProjectAccess": {"project": project}})
        ask("PUT", f"{v}/default-types/{project}", {"default_type": {"volume_type": "t"}})
        ask("DELETE", f"{v}/default-types/{project}")
        qos = ask("POST", f"{v}/qos-specs", {"qos_specs": {"name": "q", "a": "1"}})["qos_specs"]["id"]
        ask("PUT", f"{v}/qos-specs/{qos}", {"qos_specs": {"b": "2"}})
        ask("PUT", f"{v}/qos-specs/{qos}/delete_keys", {"keys": ["b"]})
        for which in (f"associate?vol_type_id={id}", f"disassociate?vol_type_id={id}"):
            ask("GET", f"{v}/qos-specs/{qos}/{which}")
        ask("GET", f"{v}/qos-specs/{qos}/associate?vol_type_id={id}")
        ask("GET", f"{v}/qos-specs/{qos}/disassociate_all")
        ask("GET", f"{v}/qos-specs/{qos}/associate?vol_type_id={id}")
        ask("DELETE", f"{v}/qos-specs/{qos}?force=true")
        ask("DELETE", f"{v}/types/{id}")
        for quota in (f"os-quota-sets/{project}", "os-quota-class-sets/default"):
            key = "quota_class_set" if "class" in quota else "quota_set"
            ask("PUT", f"{v}/{quota}", {key: {"volumes": 7}})
        ask("DELETE", f"{v}/os-quota-sets/{project}")
        host = f"{self.cloud.app.config.host}@files"
        body = {"host": host, "binary": "cinder-volume"}
        ask("PUT", f"{v}/os-services/disable", body)
        ask("PUT", f"{v}/os-services/enable", body)

    def images(self) -> None:
        ask, i, member = self.ask, "/image/v2/images", "2" * 32
        asked = {"name": "i", "disk_format": "raw", "container_format": "bare", "own": "1", "tags": ["a"]}
        id = ask("POST", i, asked)["id"]
        ask("PUT", f"{i}/{id}/tags/b")
        ask("DELETE", f"{i}/{id}/tags/b")
        change = [{"op": "replace", "path": "/own", "value": "2"}, {"op": "add", "path": "/new", "value": "3"}]
        patch = {"content-type": "application/openstack-images-v2.1-json-patch"}
        ask("PATCH", f"{i}/{id}", change, headers=patch)
        bytes_ = {"content-type": "application/octet-stream"}
        ask("PUT", f"{i}/{id}/file", headers=bytes_, content=b"x" * 1024)
        ask("POST", f"{i}/{id}/members", {"member": member})
        ask("PUT", f"{i}/{id}/members/{member}", {"status": "accepted"})
        ask("DELETE", f"{i}/{id}/members/{member}")
        for action in ("deactivate", "reactivate"):
            ask("POST", f"{i}/{id}/actions/{action}")
        volume = ask("POST", "/volume/v3/volumes", {"volume": {"size": 1, "imageRef": id}})["volume"]["id"]
        self.until(volume, "available")
        ask("DELETE", f"{i}/{id}")

    def image_quotas(self) -> None:
        path = "/moorage/v1/image-quotas/someone"
        self.ask("PUT", path, {"image_quota": {"image_count_total": 5}})
        assert self.ask("GET", path)["image_quota"]["image_count_total"] == {"limit": 5, "usage": 0}
        self.ask("DELETE", path)

    def definitions(self) -> None:
        ask, all_ = self.ask, "/image/v2/metadefs/namespaces"
        ns = f"{all_}/ns"
        ask("POST", all_, {"namespace": "ns"})
        ask("PUT", ns, {"namespace": "ns", "description": "d"})
        ask("POST", f"{ns}/resource_types", {"name": "A::Kind"})
        ask("DELETE", f"{ns}/resource_types/A::Kind")
        ask("POST", f"{ns}/properties", {"name": "p", "title": "P", "type": "string"})
        ask("PUT", f"{ns}/properties/p", {"name": "p", "title": "Q", "type": "string"})
        ask("DELETE", f"{ns}/properties/p")
        ask("POST", f"{ns}/tags", {"tags": [{"name": "t"}]})
        ask("DELETE", f"{ns}/tags")
        ask("DELETE", ns)


def untold(watch: Watch) -> list[str]:
    """Which writes nobody was told of."""
    missing = []
    for written, told in watch.found:
        for table, columns in written.items():
            loud = {column for column in columns - SILENT if (table, column) not in FORGETTING}
            if loud and table in TOLD and not told & TOLD[table]:
                missing.append(f"{table} ({', '.join(sorted(loud))}), told of {sorted(told)}")
    return missing


def test_every_committed_change_is_told_of(cloud: Cloud, watch: Watch) -> None:
    watch.found.clear()  # what a new cloud begins with
    story = Story(cloud)
    story.volumes()
    story.types()
    story.images()
    story.image_quotas()
    story.definitions()
    assert untold(watch) == []
    seen = {table for written, _ in watch.found for table in written}
    assert set(TOLD) <= seen  # the story touches them all


def test_every_table_is_told_of_or_not() -> None:
    """Identity's tables tell in a way of their own (`identity.versions.note`)."""
    rest = set(metadata.tables) - set(TOLD) - NOT_TOLD
    assert {name for name in rest if not name.startswith("identity_")} == set()
