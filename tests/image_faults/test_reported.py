"""Faults that were reported of other image services, each under its number of `docs/image-faults.md`."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.memory import MemoryStore
from moorage.flows.images.incoming.upload import Asked, Upload
from moorage.images.image import DISK_FORMATS
from moorage.images.records import images, locations, members, properties, tags
from moorage.images.store import Store, StoreUnavailable
from moorage.operations.journal import Fenced
from moorage.operations.records import operations
from tests.hostile.make import HOSTILE
from tests.image_faults.twins import Twins, twins
from tests.images.cloud import CALLERS, JSON
from tests.patience import eventually

OTHER = "project-b"


def test_image_fault_i12_an_owner_gives_nothing_away_and_forges_nothing(cloud: Twins) -> None:
    id = cloud.next.filled()
    assert cloud.patch(id, ("replace", "/owner", OTHER)).status == 403
    assert cloud.patch(id, ("add", "/owner", OTHER)).status == 403
    before = cloud.show(id)
    for name, value in (
        ("stores", "files,other"),
        ("status", "active"),
        ("size", 1),
        ("checksum", "0" * 32),
        ("os_hash_value", "0" * 128),
        ("virtual_size", 1),
        ("direct_url", "file:///etc/passwd"),
        ("locations", [{"url": "file:///etc/passwd", "metadata": {}}]),
        ("os_glance_importing_to_stores", "files"),
        ("os_glance_failed_import", "files"),
    ):
        for operation in ("add", "replace"):
            assert cloud.patch(id, (operation, f"/{name}", value)).status in (400, 403, 409), name
        assert cloud.call("POST", "", {"name": "x", name: value}).status in (400, 403), name
    assert cloud.show(id) == before
    assert cloud.patch(id, ("replace", "/owner", OTHER), as_="root").status == 200


def test_image_fault_i14_who_was_taken_over_stores_nothing_more(cloud: Twins) -> None:
    """An upload whose lease another process holds by now neither becomes the image's data nor leaves any."""
    id = cloud.next.image()
    late = Upload(cloud.clouds[0].rooms, CALLERS["alice"], id, Asked())
    late.begin()
    late.take([b"x" * 100])
    with cloud.database.write() as tx:
        (row,) = tx.all(select(operations).where(operations.c.resource_id == id))
        tx.run(operations.update().where(operations.c.id == row["id"]).values(epoch=2, cancel=True, owner=None))
    late.close()
    with pytest.raises(Fenced):
        late.record()
    late.clear()
    late.give_up(RuntimeError())
    late.sweep()
    assert eventually(lambda: not cloud.under_way()), cloud.under_way()
    assert cloud.show(id)["status"] == "queued"
    assert cloud.stores["files"].names() == frozenset()
    assert cloud.upload(id, b"anew").status == 204
    assert cloud.data(id).body == b"anew"


def test_image_fault_i18_whatever_is_asked_is_answered_and_links_keep_all_of_it(cloud: Twins) -> None:
    for n in range(3):
        cloud.next.image(name=f"n{n}", tags=["a", "b"])
    cloud.next.image(tags=["a"])
    reply = cloud.call("GET", "?tag=a&tag=b&limit=2&sort=name:asc&member_status=all")
    asked = parse_qs(urlsplit(reply.json["next"]).query)
    assert asked["tag"] == ["a", "b"]
    assert (asked["sort"], asked["member_status"]) == (["name:asc"], ["all"])
    rest = cloud.next.call("GET", f"/image{reply.json['next']}")
    assert [image["name"] for image in rest.json["images"]] == ["n2"]
    strange = (
        "size_min=x size_max= shape_min=3 limit=x limit=-1 created_at=x:y sort=nothing:up properties=x marker=x "
        'visibility=x protected=x tag= sort_dir=up name=in:"x'
    )
    for query in strange.split():
        assert cloud.call("GET", f"?{query}").status < 500, query
    for body in ([], "x", 3, None, {"name": 3}, {"tags": "x"}, {"tags": [3]}, {"min_disk": -1}, {"": "x"}, {"a": {}}):
        assert cloud.call("POST", "", body).status in (400, 403, 413), body
    gone = cloud.next.image()
    assert cloud.delete(gone).status == 204
    assert cloud.call("GET", f"?marker={gone}").status == 200  # pages go on where a deleted image was
    assert cloud.call("GET", "?limit=1", headers={"x-openstack-request-id": "req-" + "x" * 5000}).status == 200


def test_image_fault_i19_a_download_tells_its_length_each_time(cloud: Twins) -> None:
    content = os.urandom(1_234_567)
    id = cloud.next.filled(content)
    for _ in range(4):
        reply = cloud.data(id)
        assert (reply.headers["content-length"], reply.body) == (str(len(content)), content)


class Broken(FilesStore):
    """A store whose service is away."""

    away = True

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise StoreUnavailable(store=self.id, why="it is away")

    create = open = delete = size = names = free = probe = _fail


def test_image_fault_i21_a_store_that_is_away_at_the_start_takes_nothing_along(
    database: Database, state_dir: Path
) -> None:
    stores: dict[str, Store] = {"files": FilesStore("files", state_dir), "away": Broken("away", state_dir / "other")}
    with twins(database, state_dir, stores) as cloud:
        id = cloud.next.filled()
        assert cloud.data(id).body == b"some data"
        other = cloud.next.image()
        refused = cloud.upload(other, b"x", headers={"x-image-meta-store": "away"})
        assert refused.status == 503
        assert "away" in refused.json["message"]
        assert cloud.next.call("GET", "/image/v2/info/stores").status == 200
        assert cloud.next.call("GET", "/image/v2/info/stores/detail", as_="root").status == 200
        assert cloud.delete(id).status == 204


def test_image_fault_i22_reading_writes_nothing(cloud: Twins) -> None:
    """Whoever reads, owner or not, changes no row of the image."""
    id = cloud.next.filled(visibility="community")

    def rows() -> list[Any]:
        with cloud.database.read() as tx:
            return [tx.all(select(table)) for table in (images, locations, properties, tags, members, operations)]

    before = rows()
    for who in ("alice", "bob", "root", "anna"):
        for path in (f"/{id}", f"/{id}/file", f"/{id}/members", f"/{id}/tasks", "", f"/{id}/locations"):
            assert cloud.call("GET", path, as_=who).status < 500
    assert rows() == before


def test_image_fault_i23_an_image_that_is_not_there_yet_says_why(cloud: Twins) -> None:
    """While bytes come in the refusal names who brings them; when they did not come, the reason is an event."""
    id, begun, go = cloud.next.image(), threading.Event(), threading.Event()

    def silent() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        begun.set()
        go.wait(30)

    upload = threading.Thread(target=lambda: cloud.upload(id, silent(), cut=True))
    upload.start()
    assert begun.wait(30)
    refused = cloud.upload(id, b"y")
    assert refused.status == 409
    assert "operation " in refused.json["message"]
    go.set()
    upload.join(30)
    assert eventually(lambda: cloud.show(id)["status"] == "queued")
    other = cloud.next.image(disk_format="qcow2")
    assert cloud.upload(other, b"x" * 100_000).status == 415
    with cloud.database.read() as tx:
        failed = tx.all(select(operations).where(operations.c.resource_id == other))
    assert [bool(row["error"]) for row in failed] == [True]


def test_image_lp_1889640_an_image_without_data_is_never_active(cloud: Twins) -> None:
    id = cloud.next.image()
    assert cloud.patch(id, ("replace", "/status", "active")).status == 403
    assert cloud.call("POST", f"/{id}/actions/reactivate").status == 403
    assert cloud.upload(id, b"").status == 204
    assert (cloud.show(id)["status"], cloud.show(id)["size"]) == ("active", 0)


def test_image_lp_1838332_2073945_only_the_member_answers_and_only_the_owner_shares(cloud: Twins) -> None:
    id = cloud.next.filled()
    assert cloud.call("POST", f"/{id}/members", {"member": OTHER}, as_="bob").status == 404
    assert cloud.call("POST", f"/{id}/members", {"member": OTHER}).status == 200
    assert cloud.call("PUT", f"/{id}/members/{OTHER}", {"status": "accepted"}).status == 403
    assert cloud.call("PUT", f"/{id}/members/{OTHER}", {"status": "accepted"}, as_="carol").status == 404
    assert cloud.call("POST", f"/{id}/members", {"member": "project-c"}, as_="bob").status == 403
    assert cloud.call("DELETE", f"/{id}/members/{OTHER}", as_="bob").status == 403
    assert cloud.call("PUT", f"/{id}/members/{OTHER}", {"status": "accepted"}, as_="bob").status == 200


def test_image_lp_1895173_a_deletion_takes_the_data_that_came_last(cloud: Twins) -> None:
    """What is deleted is what the rows name at that moment, not what was known when the call came in."""
    id = cloud.next.image()
    for _ in range(3):
        assert cloud.upload(id, iter([b"x" * 1000]), cut=True).status in (0, 204)
        assert eventually(lambda: not cloud.under_way())
        if cloud.show(id)["status"] == "active":
            break
    else:
        assert cloud.upload(id, b"the last").status == 204
    assert cloud.delete(id).status == 204
    assert cloud.stores["files"].names() == frozenset()


def test_image_lp_1525915_the_last_place_of_an_image_is_not_taken_away_by_a_change(cloud: Twins) -> None:
    id = cloud.next.filled()
    for change in (("remove", "/locations", None), ("replace", "/locations", []), ("remove", "/locations/0", None)):
        assert cloud.patch(id, change).status in (400, 403, 409)
    assert cloud.data(id).body == b"some data"


def test_image_lp_1996188_2059809_content_that_leads_elsewhere_never_gets_a_place(cloud: Twins) -> None:
    """What leads to files of this host, or is two formats at once, is refused as it comes in, and nothing is kept."""
    for hostile in HOSTILE:
        if hostile.declared not in DISK_FORMATS:
            continue  # cannot even be said
        id = cloud.next.image(disk_format=hostile.declared)
        reply = cloud.upload(id, hostile.data)
        assert (reply.status, hostile.name) == (415, hostile.name)
        assert cloud.show(id)["status"] == "queued"
        assert cloud.data(id).status == 204
    assert cloud.stores["files"].names() == frozenset()


def test_a_store_in_memory_passes_the_same_meetings(database: Database, state_dir: Path) -> None:
    with twins(database, state_dir, {"memory": MemoryStore("memory")}) as cloud:
        id = cloud.next.filled()
        assert cloud.data(id, headers=JSON).body == b"some data"
        assert cloud.delete(id).status == 204
        assert cloud.stores["memory"].names() == frozenset()
