"""Each of the ten promises is broken once by hand, and seen to be broken; the look that they are asked of is sound."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.properties.invariants import ALL, breaches
from tests.properties.sight import Sight


def claim(id: str, **more: Any) -> dict[str, Any]:
    usual = {
        "id": id,
        "volume_id": "v",
        "instance_uuid": "s1",
        "state": "attached",
        "mode": "rw",
        "host": "h1",
        "connector": {"host": "h1"},
        "door": "tls",
        "export": f"x{id}",
        "secret": "k",
        "generation": 1,
        "connection": {"uri": "nbds:"},
        "detached_at": None,
        "origin": None,
        "mark": None,
    }
    return {**usual, **more}


def sound() -> Sight:
    """One volume with a gate, a device beside it, a holder who left, and a volume that is gone."""
    device = claim("b", mode="ro", host="here", door="private", connection={"device_path": "/dev/loop9"})
    over = claim("c", state="detached", export=None, secret=None, detached_at=5)
    return Sight(
        volumes={"v": {"id": "v", "status": "in-use", "override": None, "head": "volumes/v/1", "multiattach": True}},
        claims={"a": claim("a"), "b": device, "c": over},
        exports={"v": frozenset({"exa", "exb"})},
        gates={"xa": False, "somebody": True},
        devices={"b": True},
        layers=frozenset({"volumes/v/1"}),
        usage={"p": {"volumes": 1}},
        counted={"p": {"volumes": 1}},
        ever=frozenset({"v", "gone"}),
    )


def in_error(now: Sight) -> None:
    now.volumes["v"]["status"] = "available"  # type: ignore[index]


def of_two(now: Sight) -> None:
    now.volumes["v"] = {**now.volumes["v"], "multiattach": False}
    now.claims["b"] = {**now.claims["b"], "instance_uuid": "s2"}


def twice_on_a_host(now: Sight) -> None:
    now.volumes["v"] = {**now.volumes["v"], "multiattach": False}
    now.claims["b"] = {**now.claims["b"], "host": "h1"}


def export_left(now: Sight) -> None:
    now.exports["v"] |= {"xold"}


def export_lost(now: Sight) -> None:
    now.exports["v"] -= {"exa"}


def gate_lost(now: Sight) -> None:
    del now.gates["xa"]


def daemon_left(now: Sight) -> None:
    now.exports["w"] = frozenset()


def free_and_served(now: Sight) -> None:
    now.volumes["w"] = {**now.volumes["v"], "id": "w", "status": "available"}
    now.exports["w"] = frozenset({"eold"})


def bytes_left(now: Sight) -> None:
    now.layers |= {"volumes/gone/1"}


def held_after_the_end(now: Sight) -> None:
    now.claims["d"] = claim("d", volume_id="gone", state="reserved")


def came_back(now: Sight) -> None:
    now.claims["c"] = claim("c", state="reserved", connection=None)


def over_with_a_door(now: Sight) -> None:
    now.claims["c"] = {**now.claims["c"], "export": "xc"}


def went_back(now: Sight) -> None:
    now.claims["a"] = {**now.claims["a"], "generation": 0}


def half_way(now: Sight) -> None:
    now.claims["d"] = claim("d", state="attaching", connection=None)


def still_at_it(now: Sight) -> None:
    now.under_way.append({"id": "o", "kind": "extend-volume", "state": "running", "resource_id": "v"})


def charged_too_much(now: Sight) -> None:
    now.usage["p"] = {"volumes": 2}


def device_left(now: Sight) -> None:
    now.devices["c"] = False


def device_lost(now: Sight) -> None:
    now.devices.clear()


def reader_with_a_device(now: Sight) -> None:
    now.devices["b"] = False


def reader_with_a_gate(now: Sight) -> None:
    now.claims["a"] = {**now.claims["a"], "mode": "ro"}


# fmt: off
BROKEN: tuple[tuple[int, Callable[[Sight], None]], ...] = (
    (1, in_error),
    (2, of_two), (2, twice_on_a_host),
    (3, export_left), (3, export_lost), (3, gate_lost), (3, daemon_left),
    (4, free_and_served),
    (5, bytes_left), (5, held_after_the_end),
    (6, came_back), (6, over_with_a_door), (6, went_back),
    (7, half_way), (7, still_at_it),
    (8, charged_too_much),
    (9, device_left), (9, device_lost),
    (10, reader_with_a_device), (10, reader_with_a_gate),
)
# fmt: on


def test_what_is_in_order_breaks_nothing() -> None:
    assert breaches(sound(), sound()) == []


@pytest.mark.parametrize(("number", "spoil"), BROKEN, ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_is_broken_is_seen(number: int, spoil: Callable[[Sight], None]) -> None:
    now = deepcopy(sound())
    spoil(now)
    assert list(ALL[number - 1](now, sound())), f"the promise {number} was broken, and it was not seen"


def test_all_ten_have_been_broken() -> None:
    assert {number for number, _ in BROKEN} == set(range(1, 11)) == {int(one.__doc__.split(".")[0]) for one in ALL}  # type: ignore[union-attr]


def test_what_is_forgotten_is_seen() -> None:
    now = sound()
    now.claims = {id: one for id, one in now.claims.items() if id != "c"}
    (breach,) = breaches(now, sound())
    assert breach.startswith("6. ") and breach.endswith(" attachment c is forgotten")
