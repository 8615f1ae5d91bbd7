"""Defects read in the code of others, under the letters of our list: attachments that share a volume or a host."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.races.scene import FIRST, ROUNDS, Scene, at_once, codes
from tests.races.tripwire import Tripwire
from tests.volumes.rig import Reply, Rig


def test_defect_a_no_sibling_waits_for_another_whatever_that_one_is_doing(scene: Scene) -> None:
    id = scene.shared()
    reserved, leaving = scene.made(id), scene.attached(id, "h1")
    with ExitStack() as stack:
        stack.enter_context(scene.during("withdraw", lambda: scene.delete(leaving)))
        replies = at_once(*(lambda n=n: scene.create(id) for n in range(8)))  # type: ignore[misc]
        assert codes(replies) == [200] * 8
        made = [reply.json["attachment"]["id"] for reply in replies]
        assert codes(at_once(*(lambda a=a: scene.complete(a) for a in made))) == [204] * 8  # type: ignore[misc]
    assert len(scene.rows(id)) == 9 and scene.state(reserved) == "reserved"


def test_defect_a_siblings_that_are_being_connected_keep_nobody_out(scene: Scene) -> None:
    id = scene.shared()
    with scene.during("publish", lambda: scene.create(id, "h1")):
        assert scene.status(id) == "attaching"
        assert codes(at_once(*[lambda: scene.create(id)] * 4)) == [200] * 4
    replies = at_once(*(lambda n=n: scene.create(id, f"g{n}") for n in range(8)))  # type: ignore[misc]
    assert codes(replies) == [200] * 8


def test_defect_b_one_sibling_that_leaves_neither_locks_out_nor_hides_the_others(scene: Scene) -> None:
    id = scene.shared()
    leaving, staying, reserved = scene.attached(id, "h1"), scene.attached(id, "h2"), scene.made(id)
    with scene.during("withdraw", lambda: scene.delete(leaving)):
        shown = scene.rig.call("GET", f"/volumes/{id}", as_="admin").json["volume"]
        assert (shown["status"], [one["attachment_id"] for one in shown["attachments"]]) == ("in-use", [staying])
        assert scene.complete(reserved).status == 204
        assert scene.delete(reserved).status == 200
        assert scene.delete_volume(id).status == 400
    assert scene.status(id) == "in-use"


def test_defect_g_the_mode_of_one_is_not_that_of_another(scene: Scene) -> None:
    id = scene.shared()
    modes = ["ro", "rw", "ro", "rw"]
    replies = at_once(*(lambda n=n: scene.create(id, f"h{n}", mode=modes[n]) for n in range(4)))  # type: ignore[misc]
    claims = [reply.json["attachment"]["id"] for reply in replies]
    assert codes([scene.delete(claims[0]), scene.delete(claims[1])]) == [200, 200]
    for claim, mode in list(zip(claims, modes, strict=True))[2:]:
        assert scene.complete(claim).status == 204
        info = scene.show(claim).json["attachment"]
        assert (info["attach_mode"], info["connection_info"]["access_mode"]) == (mode, mode)
        assert scene.backend._servers[id].exports[claim].read_only == (mode == "ro")


def test_defect_h_the_last_two_leave_at_once_and_leave_nothing(scene: Scene) -> None:
    for _ in range(ROUNDS):
        id = scene.shared()
        claims = [scene.attached(id, "one-host") for _ in range(2)]
        assert codes(at_once(*(lambda a=a: scene.delete(a) for a in claims))) == [200, 200]  # type: ignore[misc]
        assert (scene.status(id), scene.rows(id), scene.backend.survey()) == ("available", [], {})
        assert scene.delete_volume(id).status == 202


@pytest.fixture
def second(scene: Scene, state_dir: Path) -> Iterator[Scene]:
    """Another process of the service on the same database; the operations are carried out by the first."""
    rig = Rig(scene.rig.database.url, state_dir, backend=Tripwire())
    yield Scene(rig, scene.backend)
    rig.close()


def test_defect_i_of_two_updates_from_two_hosts_through_two_processes_one_passes(scene: Scene, second: Scene) -> None:
    for _ in range(ROUNDS):
        id = scene.volume()
        one, other = scene.made(id, None, FIRST), scene.made(id, None, FIRST)
        replies = at_once(
            lambda one=one: scene.update(one, "h1"),  # type: ignore[misc]
            lambda other=other: second.update(other, "h2"),  # type: ignore[misc]
        )
        assert codes(replies) == [200, 409]
        assert len(scene.backend.exports(id)) == 1
        assert codes([scene.delete(one), second.delete(other)]) == [200, 200]


def test_defect_r_deleting_one_attachment_keeps_the_exports_of_the_others(scene: Scene) -> None:
    id = scene.shared()
    claims = [scene.attached(id, f"h{n}") for n in range(5)]
    names = {claim: scene.row(claim)["export"] for claim in claims}
    assert codes(at_once(*(lambda a=a: scene.delete(a) for a in claims[:3]))) == [200] * 3  # type: ignore[misc]
    left = {claim: export.name for claim, export in scene.backend._servers[id].exports.items()}
    assert left == {claim: names[claim] for claim in claims[3:]}


def test_defect_v_who_is_connected_and_has_not_said_so_yet_counts(scene: Scene) -> None:
    id = scene.shared()
    between, done = scene.made(id, "one-host"), scene.attached(id, "one-host")
    assert scene.delete(done).status == 200
    assert scene.backend.exports(id) == {between}
    assert scene.delete_volume(id).status == 400
    assert scene.complete(between).status == 204
    assert scene.status(id) == "in-use"


def test_defect_x_who_may_not_see_host_names_does_not_disturb_his_host(scene: Scene) -> None:
    id = scene.shared()
    mine, friends = scene.attached(id, "one-host"), scene.attached(id, "one-host", as_="friend")
    shown = scene.rig.call("GET", f"/volumes/{id}").json["volume"]["attachments"]
    assert {one["host_name"] for one in shown} == {None}
    assert scene.delete(mine, "demo").status == 200
    assert scene.backend.exports(id) == {friends}


def test_defect_y_each_attachment_has_the_connector_that_was_given_for_it(scene: Scene) -> None:
    id = scene.shared()
    claims = [scene.made(id) for _ in range(6)]
    replies = at_once(*(lambda n=n: scene.update(claims[n], f"h{n}") for n in range(6)))  # type: ignore[misc]
    assert codes(replies) == [200] * 6
    assert [scene.row(claim)["connector"]["host"] for claim in claims] == [f"h{n}" for n in range(6)]
    assert [reply.json["attachment"]["connection_info"]["attachment_id"] for reply in replies] == claims


def test_defect_ab_an_attachment_that_cannot_be_connected_leaves_its_siblings_alone(scene: Scene) -> None:
    id = scene.shared()
    claims = [scene.attached(id, f"h{n}") for n in range(3)]
    before = dict(scene.backend._servers[id].exports)
    for _ in range(ROUNDS):
        scene.backend.fail("publish")
        assert scene.create(id, "h9").status == 500
    assert scene.backend._servers[id].exports == before
    assert {row["id"] for row in scene.rows(id)} == set(claims)
    assert scene.status(id) == "in-use"


def test_defect_r_the_old_calls_end_one_attachment_and_check_before_they_act(scene: Scene) -> None:
    id = scene.shared()
    stays, leaves, forced = (scene.attached(id, f"h{n}") for n in range(3))

    def act(name: str, as_: str = "demo", **asked: object) -> Reply:
        return scene.rig.call("POST", f"/volumes/{id}/action", {name: asked or None}, as_)

    wrong = "0" * 8 + "-0000-4000-8000-" + "0" * 12
    assert act("os-force_detach", "admin", attachment_id=scene.attached(scene.shared(), "h")).status == 400
    assert act("os-detach", attachment_id=wrong).status == 409
    assert act("os-detach").status in (400, 409), "several could be meant"
    assert scene.backend.exports(id) == {stays, leaves, forced}
    replies = at_once(
        lambda: act("os-detach", attachment_id=leaves),
        lambda: act("os-force_detach", "admin", attachment_id=forced),
    )
    assert codes(replies) == [202, 202]
    assert scene.backend.exports(id) == {stays}
    assert scene.status(id) == "in-use"
