"""Faults of the calls that name no attachment, planted one at a time: the state machine finds each one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.api.block_storage import attachments
from moorage.volumes import status
from moorage.volumes.attachments import attachment, detachment, guard, hold, holder, publication, withdrawal
from moorage.volumes.attachments.attachment import Mark, State
from tests.cloud import running
from tests.properties.machine import explore
from tests.properties.world import World

RUNS, BATCHES = 40, 20
PATIENCE_S = 1800
Patch = pytest.MonkeyPatch


def anybody_may_hold(patch: Patch) -> None:
    """os-reserve does not look whether the volume is free."""
    patch.setattr(hold, "_may_hold", lambda tx, row: None)


def a_neighbours_hold_ends(patch: Patch) -> None:
    """os-unreserve and os-terminate_connection take whichever reservation there is, of a volume for several too."""
    patch.setattr(hold, "_plain", lambda caller, row, held: [c for c in hold.of(caller, held) if not c["export"]])


def no_hold_ends(patch: Patch) -> None:
    """os-unreserve is answered, and nothing done."""
    patch.setattr(hold, "unreserve", lambda tx, caller, row: None)


def holds_are_listed(patch: Patch) -> None:
    patch.setattr(attachments, "is_listed", lambda: attachments.c.id.is_not(None))


def everybody_gets_a_door_of_his_own(patch: Patch) -> None:
    """os-initialize_connection does not know who is there already."""
    patch.setattr(hold, "same", lambda claim, connector: False)


def another_gets_in(patch: Patch) -> None:
    """os-attach lets a second holder have a volume for one."""
    patch.setattr(holder, "_free", lambda row: True)


def a_reader_writes(patch: Patch) -> None:
    """os-attach says rw of what was opened for reading, as long as nobody looks."""
    patch.setattr(holder, "_fits", lambda tx, row, claim, holder: None)


def os_attach_tells_nobody(patch: Patch) -> None:
    """os-attach leaves the volume's status as it was."""

    def silent(tx: Any, caller: Any, row: Any, claim: Any) -> None:
        attachment.move(tx, claim["id"], "complete", caller.request_id, attached_at=tx.now, origin="old")

    patch.setattr(holder.publication, "complete", silent)


def all_leave_with_one(patch: Patch) -> None:
    """os-begin_detaching marks all of the volume's attachments."""

    def begin(tx: Any, row: Any, request_id: str = "") -> None:
        real(tx, row, request_id)
        for claim in attachment.held(tx, row["id"]):
            if claim["state"] == State.ATTACHED and not claim["mark"]:
                attachment.mark(tx, claim, Mark.LEAVING, request_id)
        status.evaluate(tx, row["id"])

    real = detachment.begin
    patch.setattr(detachment, "begin", begin)


def nobody_rolls_back(patch: Patch) -> None:
    patch.setattr(detachment, "roll_back", lambda tx, row, request_id="": None)


def a_terminated_door_stays_open(patch: Patch) -> None:
    """os-terminate_connection is answered, and the door stays open."""
    patch.setattr(detachment, "disconnect", lambda tx, caller, row, connector, grounds: None)


def what_is_only_open_stays_open(patch: Patch) -> None:
    """os-terminate_connection closes only doors of those who have said that they are attached, as it once did."""

    def disconnect(tx: Any, caller: Any, row: Any, connector: Any, grounds: Any) -> str | None:
        there = [claim for claim in attachment.held(tx, row["id"]) if hold.same(claim, connector)]
        opening = any(claim["state"] == State.ATTACHING and claim["origin"] != "hold" for claim in there)
        return None if opening else real(tx, caller, row, connector, grounds)

    real = detachment.disconnect
    patch.setattr(detachment, "disconnect", disconnect)


def a_terminated_attachment_is_over(patch: Patch) -> None:
    """os-terminate_connection ends the attachment whose door it closes."""
    real = withdrawal.withdraw
    patch.setattr(withdrawal, "withdraw", lambda *given, keep=False, **more: real(*given, **more))  # noqa: PLW0108


def a_detach_takes_the_siblings(patch: Patch) -> None:
    """os-detach ends all of the volume's attachments."""

    def ending(tx: Any, caller: Any, row: Any, id: Any, grounds: Any) -> Any:
        return attachment.held(tx, row["id"]) if real(tx, caller, row, id, grounds) else []

    real = detachment._ending
    patch.setattr(detachment, "_ending", ending)


def one_of_several_is_detached(patch: Patch) -> None:
    """os-detach without a name takes the oldest of several."""

    def meant(tx: Any, caller: Any, row: Any, id: Any) -> Any:
        rows = [claim for claim in attachment.held(tx, row["id"]) if claim["origin"] != "hold"]
        return real(tx, caller, row, id) if id is not None else next(iter(rows), None)

    real = detachment._meant
    patch.setattr(detachment, "_meant", meant)


def nobody_guards(patch: Patch) -> None:
    """Of what a server uses everybody may close the door."""
    patch.setattr(guard, "check", lambda row, caller, grounds: None)


def a_hold_stays_a_hold(patch: Patch) -> None:
    """The complete call of the attachment API leaves a hold out of lists."""

    def complete(tx: Any, caller: Any, row: Any, claim: Any) -> None:
        real(tx, caller, row, {**claim, "origin": None})

    real = publication.complete
    patch.setattr(publication, "complete", complete)


PLANTED: tuple[Callable[[Patch], None], ...] = (
    anybody_may_hold,
    a_neighbours_hold_ends,
    no_hold_ends,
    holds_are_listed,
    everybody_gets_a_door_of_his_own,
    another_gets_in,
    a_reader_writes,
    os_attach_tells_nobody,
    all_leave_with_one,
    nobody_rolls_back,
    a_terminated_door_stays_open,
    what_is_only_open_stays_open,
    a_terminated_attachment_is_over,
    a_detach_takes_the_siblings,
    one_of_several_is_detached,
    nobody_guards,
    a_hold_stays_a_hold,
)


@pytest.mark.skipif("MOORAGE_CHAOS" not in os.environ, reason="a part of make chaos")
@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(plant: Callable[[Patch], None], state_dir: Path, tmp_path: Path) -> None:
    with running(state_dir) as cloud:
        world = World(cloud)
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            assert explore(world, tmp_path, RUNS, BATCHES) is not None
