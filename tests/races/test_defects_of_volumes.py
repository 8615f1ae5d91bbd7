"""Defects read in the code of others, under the letters of our list: what else is done to volumes."""

from pathlib import Path

from moorage.operations.records import State
from tests.flows import volume_scenes
from tests.operations import crash
from tests.operations.crash import Point
from tests.races.scene import ROUNDS, Scene, at_once
from tests.volumes.rig import DEMO, Rig


def test_defect_j_work_that_ends_leaves_the_status_that_the_attachments_give(scene: Scene) -> None:
    """Nobody can reserve a volume that is being extended, so that the rows from before decide."""
    id = scene.volume()
    assert scene.extend(id, 2).status == 202
    assert scene.rig.settled(id) == "available"
    with scene.backend.standing("extend") as come:
        assert scene.extend(id, 3).status == 202
        assert come.wait(30)
        refused = scene.create(id)
        assert refused.status == 400 and "current status is extending" in refused.message
    assert scene.rig.settled(id) == "available"
    claim = scene.made(id)
    assert scene.extend(id, 4).status == 400
    assert (scene.status(id), scene.state(claim)) == ("reserved", "reserved")


def test_defect_m_of_two_that_want_the_volume_for_themselves_one_gets_it(fresh: Scene) -> None:
    """There are no transfers, backups and snapshots yet; a longer volume and a holder exclude one another likewise."""
    for _ in range(ROUNDS):
        id = fresh.volume()
        made, extended, deleted = at_once(
            lambda id=id: fresh.create(id),  # type: ignore[misc]
            lambda id=id: fresh.extend(id, 2),  # type: ignore[misc]
            lambda id=id: fresh.delete_volume(id),  # type: ignore[misc]
        )
        assert made.status in (200, 400, 404) and extended.status in (202, 400, 404)
        if made.status == 200:
            assert deleted.status == 400
            held, size = fresh.rows(id), fresh.rig.call("GET", f"/volumes/{id}").json["volume"]["size"]
            assert (len(held), size) == (1, 2 if extended.status == 202 else 1)
        elif deleted.status == 202:
            assert fresh.rig.settled(id) == "gone"
        assert (made.status == 200) + (deleted.status == 202) <= 1
        fresh.rig.settled(id)
    usage, counted = fresh.quota()
    assert usage == counted


def test_defect_n_the_source_of_a_copy_may_go_while_it_is_copied(fresh: Scene) -> None:
    for _ in range(ROUNDS):
        source = fresh.volume()
        copied, deleted = at_once(
            lambda id=source: fresh.rig.call("POST", "/volumes", {"volume": {"source_volid": id}}),  # type: ignore[misc]
            lambda id=source: fresh.delete_volume(id),  # type: ignore[misc]
        )
        assert copied.status in (202, 400, 404) and deleted.status in (202, 400)
        if copied.status == 202:
            copy = copied.json["volume"]["id"]
            assert fresh.rig.settled(copy) == "available"
            assert fresh.delete_volume(copy).status == 202
            assert fresh.rig.settled(copy) == "gone"
        if fresh.rig.settled(source) != "gone":
            assert fresh.delete_volume(source).status == 202
            assert fresh.rig.settled(source) == "gone"
        assert fresh.backend.layers() == frozenset()
    assert fresh.quota() == ({}, {})


def test_defect_o_an_extend_that_is_killed_is_finished_or_undone(database_url: str, state_dir: Path) -> None:
    row = crash.converges(f"{volume_scenes.__name__}:extend", database_url, state_dir, Point("extend", "line", 9))
    assert row["state"] == State.DONE


def test_defect_o_an_extend_that_fails_leaves_the_volume_as_it_was(fresh: Scene) -> None:
    id = fresh.volume()
    fresh.backend.fail("extend")
    assert fresh.extend(id, 5).status == 202
    assert fresh.rig.settled(id) == "available"
    assert fresh.rig.call("GET", f"/volumes/{id}").json["volume"]["size"] == 1
    usage, counted = fresh.quota()
    assert usage == counted
    assert usage["gigabytes"] == 1


def test_defect_p_the_owner_is_charged_and_nothing_is_charged_for_what_did_not_come(fresh: Scene) -> None:
    id = fresh.volume()
    assert fresh.rig.call("PUT", f"/os-quota-sets/{DEMO}", {"quota_set": {"gigabytes": 3}}, "admin").status == 200
    refused = fresh.extend(id, 4, "admin")
    assert refused.status == 413, "an administrator extends it at its owner's charge"
    made, extended = at_once(
        lambda: fresh.rig.call("POST", "/volumes", {"volume": {"size": 2}}), lambda: fresh.extend(id, 3, "admin")
    )
    assert {made.status, extended.status} == {202, 413}
    assert fresh.rig.settled(id) == "available"
    usage, counted = fresh.quota()
    assert usage == counted
    assert usage["gigabytes"] == 3


def test_defect_q_a_change_of_type_is_whole_or_nothing(scene: Scene) -> None:
    asked = {"os-retype": {"new_type": "multiattach", "migration_policy": "never"}}
    for _ in range(ROUNDS):
        id = scene.volume()
        changed, *made = at_once(
            lambda id=id: scene.rig.call("POST", f"/volumes/{id}/action", asked),  # type: ignore[misc]
            lambda id=id: scene.create(id),  # type: ignore[misc]
            lambda id=id: scene.create(id),  # type: ignore[misc]
        )
        shown = scene.rig.call("GET", f"/volumes/{id}").json["volume"]
        whole = changed.status == 202
        assert (shown["multiattach"], shown["volume_type"]) == (whole, "multiattach" if whole else "files")
        assert whole or sum(reply.status == 200 for reply in made) == 1
        assert len(scene.rows(id)) == sum(reply.status == 200 for reply in made)


def test_defect_u_a_detach_leaves_the_status_that_something_else_gives(scene: Scene) -> None:
    for status in ("error", "uploading", "backing-up", "maintenance"):
        id = scene.volume()
        claim = scene.attached(id, "h")
        assert scene.reset(id, status).status == 202
        assert scene.delete(claim).status == 200
        assert (scene.status(id), scene.rows(id), scene.backend.survey()) == (status, [], {})


def test_defect_aa_a_service_that_was_switched_off_stays_off(fresh: Scene, state_dir: Path) -> None:
    def state(rig: Rig) -> list[str]:
        found = rig.call("GET", "/os-services?binary=cinder-volume", as_="admin").json["services"]
        return [one["status"] for one in found]

    (host,) = {
        one["host"] for one in fresh.rig.call("GET", "/os-services?binary=cinder-volume", as_="admin").json["services"]
    }
    asked = {"binary": "cinder-volume", "host": host}
    assert fresh.rig.call("PUT", "/os-services/disable", asked, "admin").status == 200
    assert state(fresh.rig) == ["disabled"]
    again = Rig(fresh.rig.database.url, state_dir)
    try:
        assert state(again) == ["disabled"]
    finally:
        again.close()
