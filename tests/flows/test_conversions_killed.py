"""A conversion that is killed in its middle is begun anew; nothing is left of the first one, and no program runs on."""

from pathlib import Path

import pytest

from moorage.operations.records import State
from tests.flows.conversion_scenes import __name__ as SCENES
from tests.flows.conversion_scenes import middle
from tests.operations import crash
from tests.patience import until


def programs(state: Path) -> list[str]:
    """What still works below the state directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"convert" in words and any(str(state).encode() in word for word in words):
            found.append(f"{process.name} {words}")
    return found


@pytest.mark.parametrize(("scene", "step"), [("importing", "transform"), ("volume", "convert")])
def test_a_conversion_killed_in_its_middle_converges(database_url: str, state_dir: Path, scene: str, step: str) -> None:
    factory, point = f"{SCENES}:{scene}", middle(step)
    built = crash.build(factory, database_url, state_dir)
    id = built.begin()
    assert crash.run_and_die(factory, database_url, state_dir, id, point) == -9, "it was over before"
    until(lambda: not programs(state_dir), what="the program outlives who has begun it")
    row = crash.recover(built, id)
    assert (row["state"], row["epoch"] > 1) == (State.DONE, True)
    built.check(row)
    built.database.close()
