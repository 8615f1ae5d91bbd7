"""What a compute service asks of Block Storage for its servers, call by call, is answered as it expects."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from moorage.operations.records import OPEN, events, operations
from tests.volumes.rig import HOST, Reply, Rig, running

SERVER, OTHER = "5e75e75e-0000-4000-8000-000000000001", "5e75e75e-0000-4000-8000-000000000002"
ATTACH, TARGETS = "3.44", "3.69"


class Nova:
    """Calls with the user's token and Nova's service token beside it; no version but where Nova names one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def ask(self, method: str, path: str, body: Any = None, version: str | None = None) -> Reply:
        return self.rig.call(method, path, body, as_="nova", version=version)

    def volume(self, id: str, version: str | None = None) -> dict[str, Any]:
        reply = self.ask("GET", f"/volumes/{id}", version=version)
        assert reply.status == 200, reply.body
        volume: dict[str, Any] = reply.json["volume"]
        return volume

    def _offered(self) -> None:
        """Before each use of a microversion Nova reads the version document, without caring that it is 300."""
        reply = self.rig.call("GET", "/volume/", as_="nova", version=None)
        offered = next(v["version"] for v in reply.json["versions"] if "3." in v["version"])
        assert tuple(map(int, offered.split("."))) >= (3, 69)

    def reserve(self, id: str, server: str = SERVER) -> str:
        self._offered()
        asked = {"attachment": {"volume_uuid": id, "connector": None, "instance_uuid": server}}
        reply = self.ask("POST", "/attachments", asked, ATTACH)
        assert reply.status == 200, reply.body
        claim = reply.json["attachment"]
        assert claim["status"] == "reserved"
        return str(claim["id"])

    def connect(self, id: str, claim: str, device: str = "/dev/sdb") -> dict[str, Any]:
        self._offered()
        shown = self.volume(id, TARGETS)
        assert shown["shared_targets"] is False and shown["service_uuid"]
        connector = {"ip": "127.0.0.1", "initiator": "fake", "host": HOST, "mountpoint": device}
        reply = self.ask("PUT", f"/attachments/{claim}", {"attachment": {"connector": connector}}, ATTACH)
        assert reply.status == 200, reply.body
        info: dict[str, Any] = reply.json["attachment"]["connection_info"]
        assert info["driver_volume_type"] == "local" and info["device_path"] and info["attachment_id"] == claim
        done = self.ask("POST", f"/attachments/{claim}/action", {"os-complete": None}, ATTACH)
        assert done.status == 204
        return info

    def attach(self, id: str, server: str = SERVER) -> str:
        claim = self.reserve(id, server)
        self.connect(id, claim)
        return claim

    def detach(self, id: str, server: str = SERVER) -> list[dict[str, Any]]:
        """Nova says that it will, naming no attachment, and gives up the one that the volume lists for the server."""
        claim = self.holders(id)[server]
        begun = self.ask("POST", f"/volumes/{id}/action", {"os-begin_detaching": None})
        assert begun.status == 202, begun.body
        self._offered()
        assert self.volume(id, TARGETS)["status"] in ("detaching", "in-use")
        return self.release(claim)

    def release(self, claim: str) -> list[dict[str, Any]]:
        reply = self.ask("DELETE", f"/attachments/{claim}", version=ATTACH)
        assert reply.status == 200, reply.body
        left: list[dict[str, Any]] = reply.json["attachments"]
        return left

    def holders(self, id: str) -> dict[str, str]:
        """What Nova reads of a volume's attachments: server to attachment."""
        return {a["server_id"]: a["attachment_id"] for a in self.volume(id)["attachments"]}


@pytest.fixture
def nova(database_url: str, state_dir: Path) -> Iterator[Nova]:
    with running(database_url, state_dir) as rig:
        yield Nova(rig)
        assert not still_open(rig) and not rig.devices.present() and not rig.backend.survey()


def still_open(rig: Rig) -> list[str]:
    """Operations that are not over."""
    with rig.database.read() as tx:
        rows = tx.all(select(operations.c.id).where(operations.c.state.in_(sorted(OPEN))))
    return [row["id"] for row in rows]


def statuses(rig: Rig, id: str) -> list[str]:
    """Every status that the volume has had, oldest first."""
    with rig.database.read() as tx:
        c = events.c
        rows = tx.all(select(c.facts).where(c.what == "volume.status", c.resource_id == id).order_by(c.id))
    return [row["facts"]["status"] for row in rows]


def test_a_server_boots_from_a_new_volume_and_takes_it_along(nova: Nova) -> None:
    form = {"size": 1, "consistencygroup_id": None, "snapshot_id": None, "name": "", "description": ""}
    more = {"volume_type": None, "availability_zone": None, "metadata": {}, "imageRef": None}
    body = {"volume": {**form, **more, "source_volid": None, "backup_id": None}}
    made = nova.ask("POST", "/volumes", body)
    assert made.status == 202, made.body
    id = made.json["volume"]["id"]
    assert nova.rig.settled(id) == "available"
    claim = nova.reserve(id)
    assert nova.volume(id)["status"] == "reserved"
    nova.connect(id, claim, "/dev/sda")
    shown = nova.volume(id)
    assert shown["status"] == "in-use" and shown["attachments"][0]["device"] == "/dev/sda"
    # the server goes: nothing is read first, and the volume is deletable when the attachment's DELETE has answered
    assert nova.release(claim) == []
    assert nova.ask("DELETE", f"/volumes/{id}").status == 202
    assert nova.rig.settled(id) == "gone"


def test_a_server_gives_its_volume_up_and_another_takes_it(nova: Nova) -> None:
    id = nova.rig.volume()
    nova.attach(id)
    assert nova.detach(id) == [] and nova.volume(id)["status"] == "available"
    nova.attach(id, OTHER)
    assert nova.ask("POST", f"/volumes/{id}/action", {"os-begin_detaching": None}).status == 202
    assert nova.volume(id)["status"] == "detaching"
    assert nova.ask("POST", f"/volumes/{id}/action", {"os-begin_detaching": None}).status == 400
    assert nova.ask("POST", f"/volumes/{id}/action", {"os-roll_detaching": None}).status == 202
    assert nova.volume(id)["status"] == "in-use"
    nova.detach(id, OTHER)


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_whoever_leaves_first_the_others_stay_in_use(nova: Nova, leaving: int) -> None:
    id = nova.rig.volume(volume_type="multiattach")
    servers = [SERVER, OTHER, SERVER[:-1] + "3"]
    for server in servers:
        nova.attach(id, server)
    order = servers[leaving:] + servers[:leaving]
    for left, server in zip((2, 1), order, strict=False):
        assert len(nova.detach(id, server)) == left
        assert nova.volume(id)["status"] == "in-use" and len(nova.holders(id)) == left
    assert nova.detach(id, order[2]) == [] and nova.volume(id)["status"] == "available"


def test_a_volume_that_a_server_has_is_not_given_to_another(nova: Nova) -> None:
    id = nova.rig.volume()
    claim = nova.attach(id)
    asked = {"attachment": {"volume_uuid": id, "connector": None, "instance_uuid": OTHER}}
    refused = nova.ask("POST", "/attachments", asked, ATTACH)
    assert refused.status == 400 and claim in refused.message
    assert nova.holders(id) == {SERVER: claim}
    nova.release(claim)
    assert nova.volume(id)["status"] == "available"


def test_two_servers_share_a_volume_and_leave_one_by_one(nova: Nova) -> None:
    id = nova.rig.volume(volume_type="multiattach")
    one, other = nova.attach(id), nova.attach(id, OTHER)
    assert nova.holders(id) == {SERVER: one, OTHER: other}
    assert [row["id"] for row in nova.release(one)] == [other]
    assert nova.volume(id)["status"] == "in-use" and nova.holders(id) == {OTHER: other}
    assert nova.release(other) == []
    assert nova.volume(id)["status"] == "available"


@pytest.mark.parametrize("kind", ["files", "multiattach"])
def test_a_server_that_is_resized_holds_its_volume_all_the_time(nova: Nova, kind: str) -> None:
    id = nova.rig.volume(volume_type=kind)
    old = nova.attach(id)
    new = nova.reserve(id)
    assert nova.release(old) and nova.volume(id)["status"] == "reserved"
    info = nova.connect(id, new)
    shown = nova.ask("GET", f"/attachments/{new}", version=ATTACH).json["attachment"]
    assert shown["connection_info"]["device_path"] == info["device_path"] and shown["status"] == "attached"
    had = statuses(nova.rig, id)
    assert "in-use" in had and "available" not in had[had.index("in-use") :]
    nova.release(new)
    assert nova.volume(id)["status"] == "available"


def test_a_shelved_server_keeps_its_volume_reserved(nova: Nova) -> None:
    id = nova.rig.volume()
    old = nova.attach(id)
    kept = nova.reserve(id)
    left = nova.release(old)
    assert [row["id"] for row in left] == [kept] and nova.volume(id)["status"] == "reserved"
    assert nova.ask("DELETE", f"/volumes/{id}").status == 400
    nova.connect(id, kept)
    assert nova.volume(id)["status"] == "in-use"
    nova.release(kept)


def test_a_reboot_looks_for_attachments_that_it_does_not_know(nova: Nova) -> None:
    id, strange = nova.rig.volume(), nova.rig.volume()
    claim, unknown = nova.attach(id), nova.reserve(strange)
    found = nova.ask("GET", f"/attachments?instance_id={SERVER}", version=ATTACH).json["attachments"]
    assert {(row["id"], row["instance"], row["volume_id"]) for row in found} == {
        (claim, SERVER, id),
        (unknown, SERVER, strange),
    }
    assert nova.release(unknown) == []
    assert nova.ask("GET", f"/attachments/{unknown}", version=ATTACH).status == 404
    assert nova.ask("GET", f"/attachments?instance_id={OTHER}", version=ATTACH).json == {"attachments": []}
    nova.release(claim)


def test_servers_that_share_a_volume_are_deleted_at_once(nova: Nova) -> None:
    id = nova.rig.volume(volume_type="multiattach")
    servers = [f"5e75e75e-0000-4000-8000-0000000001{n:02}" for n in range(10)]
    with ThreadPoolExecutor(len(servers)) as threads:
        claims = list(threads.map(lambda server: nova.attach(id, server), servers))
        assert nova.holders(id) == dict(zip(servers, claims, strict=True))
        left = list(threads.map(nova.release, claims))
    assert [] in left
    assert nova.volume(id)["status"] == "available" and nova.holders(id) == {}
    assert nova.ask("DELETE", f"/volumes/{id}").status == 202
    assert nova.rig.settled(id) == "gone"


def test_an_attachment_that_is_gone_already_is_404_to_a_delete(nova: Nova) -> None:
    claim = nova.attach(nova.rig.volume())
    nova.release(claim)
    assert nova.ask("DELETE", f"/attachments/{claim}", version=ATTACH).status == 404
