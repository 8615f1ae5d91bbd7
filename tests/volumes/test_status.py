"""The status of a volume follows from what is known of it, and from nothing else."""

import itertools

import pytest

from moorage.flows.registry import FLOWS
from moorage.volumes.attachments.attachment import HELD, LIFE, State
from moorage.volumes.status import DURING, attach_status, derive

CLEAR: dict[str, object] = {"operations": (), "bytes_there": True, "failed": False, "override": None, "held": ()}

# fmt: off
TABLE = (
    # what is known                                                          the status
    ({},                                                                     "available"),
    ({"bytes_there": False},                                                 "creating"),
    ({"bytes_there": False, "failed": True},                                 "error"),
    ({"operations": ["create-volume"], "bytes_there": False},                "creating"),
    ({"operations": ["volume-from-image"], "bytes_there": True},             "creating"),
    ({"operations": ["volume-from-conversion"], "bytes_there": True},        "creating"),
    ({"operations": ["create-volume"], "failed": True},                      "creating"),
    ({"operations": ["extend-volume"]},                                      "extending"),
    ({"operations": ["delete-volume"], "failed": True},                      "deleting"),
    ({"operations": ["create-volume", "delete-volume"]},                     "deleting"),
    ({"operations": ["delete-volume", "extend-volume"]},                     "deleting"),
    ({"operations": ["delete-volume"], "override": "error"},                 "deleting"),
    ({"operations": ["freeze-volume"]},                                      "available"),
    ({"operations": ["publish-attachment"], "held": ["attaching"]},          "attaching"),
    ({"override": "maintenance"},                                            "maintenance"),
    ({"override": "error", "held": ["attached"]},                            "error"),
    ({"held": ["reserved"]},                                                 "reserved"),
    ({"held": ["attaching"]},                                                "attaching"),
    ({"held": ["attached"]},                                                 "in-use"),
    ({"held": ["detaching"]},                                                "detaching"),
    ({"held": ["error_attaching"]},                                          "in-use"),
    ({"held": ["error_detaching"]},                                          "in-use"),
    ({"held": ["reserved", "attached"]},                                     "in-use"),
    ({"held": ["detaching", "attaching"]},                                   "attaching"),
    ({"held": ["reserved", "detaching"]},                                    "detaching"),
    ({"held": ["reserved", "error_detaching"]},                              "in-use"),
)
# fmt: on


@pytest.mark.parametrize(("known", "status"), TABLE, ids=str)
def test_the_status_follows_from_what_is_known(known: dict[str, object], status: str) -> None:
    assert derive(**{**CLEAR, **known}) == status  # type: ignore[arg-type]


def test_available_means_that_nobody_holds_it() -> None:
    """Whatever else is known, a volume with an attachment never reads as available."""
    for held in itertools.product(sorted(HELD), repeat=2):
        assert derive(**{**CLEAR, "held": held}) != "available"  # type: ignore[arg-type]


def test_available_means_that_there_are_bytes() -> None:
    for operations, failed in itertools.product([(), *((kind,) for kind in DURING)], (False, True)):
        known = {**CLEAR, "operations": operations, "failed": failed, "bytes_there": False}
        assert derive(**known) != "available"  # type: ignore[arg-type]


def test_every_kind_that_has_a_status_is_a_flow() -> None:
    assert [kind for kind in DURING if kind not in FLOWS] == []


@pytest.mark.parametrize("state", sorted(HELD))
def test_every_attachment_can_be_withdrawn_and_released(state: State) -> None:
    assert LIFE.allows("withdraw", state)
    assert LIFE.allows("release", LIFE["withdraw"].target)


@pytest.mark.parametrize("event", [move.event for move in LIFE])
def test_nothing_happens_to_an_attachment_that_is_over(event: str) -> None:
    assert not LIFE.allows(event, State.DETACHED)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([], "detached"),
        (["reserved"], "reserved"),
        (["reserved", "attached"], "attached"),
        (["error_detaching"], "error_detaching"),
    ],
)
def test_the_attach_status_is_that_of_the_most_attached(held: list[str], said: str) -> None:
    assert attach_status(held) == said
