"""Changes of one image that begin at once, by two services: none that was acknowledged is lost."""

from functools import partial
from pathlib import Path

from moorage.database import Database
from tests.image_faults.twins import Twins, at_once, twins
from tests.images.cloud import JSON

ROUNDS = 6
NEW_ID = "0f0e0d0c-0000-4000-8000-00000000000{}"


def test_image_fault_i5_every_change_that_was_acknowledged_is_there(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.image()
        calls = [partial(cloud.patch, id, ("add", f"/p{n}", f"v{n}")) for n in range(16)]
        calls += [
            partial(cloud.patch, id, ("replace", "/name", "new")),
            partial(cloud.patch, id, ("add", "/min_disk", 7)),
        ]
        calls += [partial(cloud.call, "PUT", f"/{id}/tags/t{n}") for n in range(4)]
        statuses = [reply.status for reply in at_once(*calls)]
        assert set(statuses) <= {200, 204}, statuses  # 409 would be allowed, and has no reason here
        image = cloud.show(id)
        assert {name: value for name, value in image.items() if name[0] == "p" and name[1:].isdigit()} == {
            f"p{n}": f"v{n}" for n in range(16)
        }
        assert (image["name"], image["min_disk"], sorted(image["tags"])) == ("new", 7, ["t0", "t1", "t2", "t3"])


def test_a_change_of_several_attributes_is_seen_whole_or_not_at_all(cloud: Twins) -> None:
    id = cloud.next.image(name="0", colour="0", shape="0")
    for _ in range(ROUNDS):
        change = [
            partial(cloud.patch, id, *[("replace", f"/{k}", str(n)) for k in ("name", "colour", "shape")])
            for n in range(4)
        ]
        seen = at_once(*change, *[partial(cloud.call, "GET", f"/{id}") for _ in range(4)])
        for reply in seen:
            assert reply.status == 200
            assert len({reply.json["name"], reply.json["colour"], reply.json["shape"]}) == 1


def test_a_change_and_a_deletion_at_once_leave_no_image(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.filled()
        changed, deleted = at_once(partial(cloud.patch, id, ("add", "/a", "b")), partial(cloud.delete, id))
        assert (changed.status, deleted.status) in ((200, 204), (404, 204))
        assert cloud.call("GET", f"/{id}", as_="root").status == 404


def test_protecting_and_deleting_at_once_do_not_both_succeed(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.filled()
        changed, deleted = at_once(partial(cloud.patch, id, ("replace", "/protected", True)), partial(cloud.delete, id))
        assert (changed.status, deleted.status) in ((200, 403), (404, 204))
        if deleted.status == 403:
            assert cloud.data(id).body == b"some data"


def test_of_deletions_at_once_one_succeeds(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.filled()
        assert sorted(reply.status for reply in at_once(*[partial(cloud.delete, id)] * 8)) == [204] + [404] * 7


def test_of_images_created_at_once_with_one_id_there_is_one(cloud: Twins) -> None:
    for turn in range(ROUNDS):
        bodies = [{"id": NEW_ID.format(turn), "name": f"n{n}", "tags": [f"t{n}"], f"p{n}": "x"} for n in range(12)]
        replies = at_once(*[partial(cloud.call, "POST", "", body) for body in bodies])
        assert sorted(reply.status for reply in replies) == [201] + [409] * 11
        (won,) = [n for n, reply in enumerate(replies) if reply.status == 201]
        image = cloud.show(NEW_ID.format(turn))
        assert (image["name"], image["tags"], image[f"p{won}"]) == (f"n{won}", [f"t{won}"], "x")
        assert sum(f"p{n}" in image for n in range(12)) == 1


def test_tags_that_come_and_go_at_once(cloud: Twins) -> None:
    id = cloud.next.image()
    for _ in range(ROUNDS):
        again = at_once(*[partial(cloud.call, "PUT", f"/{id}/tags/same") for _ in range(8)])
        assert {reply.status for reply in again} == {204}
        assert cloud.show(id)["tags"] == ["same"]
        gone = at_once(*[partial(cloud.call, "DELETE", f"/{id}/tags/same") for _ in range(8)])
        assert sorted(reply.status for reply in gone) == [204] + [404] * 7
        assert cloud.show(id)["tags"] == []


def test_sharing_and_making_private_at_once_agree(cloud: Twins) -> None:
    for _ in range(ROUNDS):
        id = cloud.next.filled()
        shared, closed = at_once(
            partial(cloud.call, "POST", f"/{id}/members", {"member": "project-b"}),
            partial(cloud.patch, id, ("replace", "/visibility", "private")),
        )
        assert closed.status == 200
        assert shared.status in (200, 403)
        assert cloud.call("GET", f"/{id}", as_="bob").status == 404
        assert cloud.patch(id, ("replace", "/visibility", "shared")).status == 200
        assert cloud.call("GET", f"/{id}", as_="bob").status == (200 if shared.status == 200 else 404)


def test_accepting_and_being_put_out_at_once_agree(cloud: Twins) -> None:
    id = cloud.next.filled()
    for _ in range(ROUNDS):
        assert cloud.call("POST", f"/{id}/members", {"member": "project-b"}).status == 200
        accepted, out = at_once(
            partial(cloud.call, "PUT", f"/{id}/members/project-b", {"status": "accepted"}, as_="bob"),
            partial(cloud.call, "DELETE", f"/{id}/members/project-b"),
        )
        assert out.status == 204
        assert accepted.status in (200, 404)
        assert cloud.call("GET", f"/{id}", as_="bob").status == 404
        assert cloud.call("GET", f"/{id}/members").json["members"] == []


def test_image_fault_i17_limits_of_one_image_hold_however_many_ask(database: Database, state_dir: Path) -> None:
    with twins(database, state_dir, properties=5, tags=4, members=3) as cloud:
        for _ in range(ROUNDS):
            id = cloud.next.image()
            patched = at_once(*[partial(cloud.patch, id, ("add", f"/p{n}", "v")) for n in range(12)])
            assert sorted(reply.status for reply in patched) == [200] * 5 + [413] * 7
            tagged = at_once(*[partial(cloud.call, "PUT", f"/{id}/tags/t{n}", headers=JSON) for n in range(10)])
            assert sorted(reply.status for reply in tagged) == [204] * 4 + [413] * 6
            asked = [{"member": f"project-{n}"} for n in range(10)]
            shared = at_once(*[partial(cloud.call, "POST", f"/{id}/members", body) for body in asked])
            assert sorted(reply.status for reply in shared) == [200] * 3 + [413] * 7
