"""Defects read in the code of others, under the letters of our list: calls that stop, or meet, half-way."""

from pathlib import Path
from typing import Any

import pytest

from moorage.operations import events
from moorage.operations.records import State
from moorage.volumes.attachments import loss
from tests.flows import volume_scenes
from tests.operations import crash
from tests.operations.crash import Point
from tests.races.scene import FIRST, ROUNDS, SECOND, Scene, at_once, codes


@pytest.mark.parametrize("host", [None, "h"], ids=["reserved", "connected"])
def test_defect_c_a_create_that_fails_anywhere_before_its_commit_leaves_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    """Row, status, mode and operation are one transaction: what breaks its last statement breaks all of it."""
    id = scene.volume()

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(events, "record", breaks)
        assert scene.create(id, host, FIRST, "ro").status == 500
    assert (scene.rows(id), scene.status(id), scene.backend.survey()) == ([], "available", {})
    assert scene.create(id, host, SECOND).status == 200


@pytest.mark.parametrize("line", [3, 20])
@pytest.mark.parametrize("step_end", ["publish-attachment", "withdraw-attachment"])
def test_defect_c_killed_while_it_works_it_is_finished_by_whoever_comes_next(
    database_url: str, state_dir: Path, step_end: str, line: int
) -> None:
    factory = {"publish-attachment": "publish", "withdraw-attachment": "withdraw"}[step_end]
    point = Point(factory, "line", line)
    row = crash.converges(f"{volume_scenes.__name__}:{factory}", database_url, state_dir, point)
    assert row["state"] == State.DONE


def test_defect_d_a_create_with_a_connector_that_fails_leaves_no_reservation(scene: Scene) -> None:
    for id in (scene.volume(), scene.shared()):
        scene.backend.fail("publish")
        assert scene.create(id, "h", FIRST).status == 500
        assert (scene.rows(id), scene.status(id), scene.backend.exports(id)) == ([], "available", frozenset())
        assert scene.create(id, "h", SECOND).status == 200


def test_defect_e_complete_does_not_bring_anything_back(scene: Scene) -> None:
    for _ in range(ROUNDS):
        id = scene.volume()
        claim = scene.made(id, "h")
        deleted, completed = at_once(
            lambda claim=claim: scene.delete(claim),  # type: ignore[misc]
            lambda claim=claim: scene.complete(claim),  # type: ignore[misc]
        )
        assert deleted.status == 200 and completed.status in (204, 404, 409)
        assert (scene.state(claim), scene.status(id), scene.backend.survey()) == ("detached", "available", {})
    id = scene.volume()
    claim = scene.attached(id, "h")
    with scene.during("withdraw", lambda: scene.delete(claim)):
        assert scene.complete(claim).status == 409
        assert scene.status(id) == "detaching"
    assert scene.complete(claim).status == 404
    other = scene.made(id)
    assert scene.reset(id, "error").status == 202
    scene.complete(other)
    assert scene.status(id) == "error"


def readonly(scene: Scene, id: str, flag: Any) -> int:
    return scene.rig.call("POST", f"/volumes/{id}/action", {"os-update_readonly_flag": {"readonly": flag}}).status


def test_defect_f_read_only_is_a_truth_value_and_is_known_before_the_door_opens(scene: Scene) -> None:
    id = scene.volume()
    for flag, mode in (("True", "ro"), ("False", "rw"), (True, "ro"), (False, "rw")):
        assert readonly(scene, id, flag) == 202
        claim = scene.made(id, "h", mode="rw" if mode == "rw" else None)
        assert scene.backend._servers[id].exports[claim].read_only == (mode == "ro")
        assert scene.show(claim).json["attachment"]["attach_mode"] == mode
        assert scene.delete(claim).status == 200


def test_defect_f_the_flag_and_an_attach_at_once_agree(scene: Scene) -> None:
    flag = {"os-update_readonly_flag": {"readonly": True}}
    for _ in range(ROUNDS):
        id = scene.volume()
        said, made = at_once(
            lambda id=id: scene.rig.call("POST", f"/volumes/{id}/action", flag),  # type: ignore[misc]
            lambda id=id: scene.create(id, "h", mode="rw"),  # type: ignore[misc]
        )
        assert made.status == 200 and said.status in (202, 400)
        (export,) = scene.backend._servers[id].exports.values()
        assert export.read_only == (said.status == 202)


def test_defect_k_a_volume_is_not_deleted_while_anybody_has_to_do_with_it(scene: Scene) -> None:
    for host, complete in ((None, False), ("h", False), ("h", True)):
        id = scene.volume()
        claim = scene.made(id, host)
        if complete:
            scene.complete(claim)
        assert scene.delete_volume(id).status == 400
    scene.backend.clear(id)
    scene.rig.database.transact(lambda tx: loss.lose(tx, id, [claim], "its server died"))
    assert scene.state(claim) == "error_attaching"
    assert scene.delete_volume(id).status == 400
    assert scene.rig.call("POST", f"/volumes/{id}/action", {"os-force_delete": {}}, "admin").status == 400


@pytest.mark.parametrize("host", [None, "h"], ids=["reserved", "connected"])
def test_defect_k_delete_and_create_at_once_do_not_both_win(scene: Scene, host: str | None) -> None:
    for _ in range(ROUNDS):
        id = scene.volume()
        deleted, made = at_once(
            lambda id=id: scene.delete_volume(id),  # type: ignore[misc]
            lambda id=id: scene.create(id, host),  # type: ignore[misc]
        )
        assert (deleted.status == 202) != (made.status == 200), (deleted.body, made.body)
        if made.status == 200:
            assert scene.status(id) == ("attaching" if host else "reserved")
        else:
            assert scene.rig.settled(id) == "gone" and scene.backend.exports(id) == frozenset()


def test_defect_l_an_attachment_in_error_is_in_the_way_of_the_next(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.attached(id, "h", FIRST)
    scene.backend.clear(id)
    scene.rig.database.transact(lambda tx: loss.lose(tx, id, [claim], "its server died"))
    assert (scene.state(claim), scene.status(id)) == ("error_attaching", "in-use")
    assert scene.create(id, "h2", SECOND).status == 400
    assert scene.update(claim, "h").status == 200
    assert (scene.state(claim), scene.status(id)) == ("attaching", "attaching")


def test_defect_w_an_attachment_whose_id_nobody_learnt_does_not_stay(scene: Scene) -> None:
    """Where the work is not over when the request is, it is undone; nothing is left that nobody knows of."""
    id = scene.volume()
    with scene.backend.standing("publish") as come:
        reply = scene.rig.call(
            "POST",
            "/attachments",
            {"attachment": {"volume_uuid": id, "connector": {"host": "h", "nbd": True}}},
            moorage_wait="1",
        )
        assert come.is_set() and reply.status == 504
    assert codes([scene.rig.call("GET", f"/volumes/{id}")]) == [200]
    scene.rig.settled(id)
    for _ in range(200):
        if not scene.rows(id):
            break
        scene.rig.call("GET", "/volumes")
    assert (scene.rows(id), scene.status(id), scene.backend.survey()) == ([], "available", {})


def test_defect_ac_an_update_that_fails_leaves_the_reservation_and_no_trace(scene: Scene) -> None:
    id = scene.volume()
    claim = scene.made(id, None, FIRST)
    scene.backend.fail("publish")
    assert scene.update(claim, "h").status == 500
    row = scene.row(claim)
    assert (row["state"], row["connector"], row["export"], row["host"]) == ("reserved", None, None, None)
    assert (scene.status(id), scene.backend.survey()) == ("reserved", {})
    assert scene.update(claim, "h").status == 200
    assert scene.delete(claim).status == 200
    assert (scene.status(id), scene.backend.survey()) == ("available", {})
