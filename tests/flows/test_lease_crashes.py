"""A lapse killed anywhere: either nothing has happened and it lapses next time, or an operation fences it for good."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from moorage.flows.attachments import lapse_leases
from moorage.flows.attachments.withdraw_attachment import WITHDRAW_ATTACHMENT
from moorage.hosts import lease
from moorage.operations.records import State
from moorage.volumes.attachments import attachment
from tests.flows import volume_scenes
from tests.flows.lease_world import TERM_S, Leases
from tests.operations import crash
from tests.operations.crash import Point
from tests.volumes.rig import running

FACTORY = f"{volume_scenes.__name__}:lapse"
POINTS = crash.points(WITHDRAW_ATTACHMENT, (3, 20, 60))
FORWARD = [point for point in POINTS if not point.back]


@pytest.mark.parametrize("point", FORWARD, ids=str)
def test_a_lapse_killed_anywhere_is_carried_to_its_end(state_dir: Path, point: Point) -> None:
    row = crash.converges(FACTORY, f"sqlite:///{state_dir}/moorage.db", state_dir, point)
    assert row["state"] == State.DONE


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lapse_killed_inside_its_step_is_carried_to_its_end_on_postgresql(database_url: str, state_dir: Path) -> None:
    crash.converges(FACTORY, database_url, state_dir, Point(WITHDRAW_ATTACHMENT.steps[-1].name, "line", 20))


def _die_before_the_commit(url: str, id: str) -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    from moorage.database import Database

    moved = lapse_leases._say

    def dying(*args: Any) -> None:
        moved(*args)
        os.kill(os.getpid(), signal.SIGKILL)

    lapse_leases._say = dying
    lapse_leases.lapse(cast(Any, SimpleNamespace(database=Database(url))), lease.Heard(1 << 62, (id,)))


def test_one_killed_before_its_commit_has_changed_nothing(
    database_url: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, state_dir) as rig:
        world = Leases(rig, monkeypatch)
        volume = rig.volume()
        id = world.attach(volume)
        before = world.row(id)
        child = multiprocessing.get_context("spawn").Process(target=_die_before_the_commit, args=(database_url, id))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        assert world.row(id) == before and rig.status(volume) == "in-use"
        world.passes(TERM_S)
        assert len(world.listen()) == 1 and rig.status(volume) == "available"


def test_whoever_was_stopped_after_he_heard_lapses_nothing_that_was_renewed_since(
    database_url: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, state_dir) as rig:
        world = Leases(rig, monkeypatch)
        id = world.attach(rig.volume())
        world.passes(TERM_S)
        heard = rig.database.transact(lease.hear)
        assert heard.lapsed == (id,)
        rig.database.transact(lambda tx: lease.renew(tx, "compute1", [id]))
        world.passes(TERM_S / 2)  # he was stopped for so long
        assert lapse_leases.lapse(rig.rooms, heard) == []
        with rig.database.read() as tx:
            assert (tx.get(attachment.attachments, id) or {})["state"] == "attached"
