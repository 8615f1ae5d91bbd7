"""What the checker takes, and does not take, of the calls that name no attachment, alone and beside those that do."""

from dataclasses import replace
from typing import Any

from tests.properties.history import Call
from tests.properties.model import Held, Volume
from tests.properties.test_checker import ATTACHED, call, create, delete, ends, listed, none_explains, refused, shown

HOLD = Held("h", origin="hold", user="u")
OPEN_HOLD = replace(HOLD, state="attaching", mode="rw", place="h1|tls", ready=True, generation=1, door=True)
OLD = replace(OPEN_HOLD, state="attached", origin="old")


def old(began: int, ended: int, verb: str, code: int = 202, **asked: Any) -> Call:
    return call(began, ended, verb, code, **asked)


def connected(began: int, ended: int, id: str, generation: int = 1, place: str = "h1|tls") -> Call:
    return call(began, ended, "connect", 200, {"id": id, "mode": "rw", "generation": generation}, place=place)


def test_of_two_who_reserve_a_volume_for_one_one_wins() -> None:
    (end,) = ends(Volume(), old(1, 3, "reserve"), old(2, 4, "reserve", 400))
    assert (end.status, [held.origin for held in end.held]) == ("attaching", ["hold"])
    none_explains(Volume(), old(1, 3, "reserve"), old(2, 4, "reserve"))
    none_explains(Volume(), old(1, 3, "reserve"), create(2, 4, "a"))
    ends(Volume(), old(1, 3, "reserve"), refused(2, 4, "attaching"))
    assert len(ends(Volume(shared=True), old(1, 3, "reserve"), old(2, 4, "reserve")).pop().held) == 2


def test_a_hold_is_not_listed_and_what_os_attach_makes_of_it_is() -> None:
    reserve, attach = old(1, 2, "reserve"), old(5, 6, "attach", instance="s")
    seen = listed(7, 8, a=("attached", "rw", "s"))
    (end,) = ends(Volume(), reserve, listed(3, 4), attach, seen)
    assert [(held.id, held.origin) for held in end.held] == [("a", "old")]
    none_explains(Volume(), reserve, listed(3, 4, a=("reserved", None, None)))
    none_explains(Volume(), reserve, attach, listed(7, 8))
    none_explains(Volume(), reserve, attach, listed(7, 8, a=("attached", "rw", "s"), b=("attached", "rw", "s")))


def test_who_has_no_name_gets_one_that_he_keeps() -> None:
    start, made = Volume(shared=True), [old(1, 3, "attach", instance="s"), old(2, 4, "attach", instance="t")]
    seen = listed(5, 6, a=("attached", "rw", "s"), b=("attached", "rw", "t"))
    (end,) = ends(start, *made, seen)
    assert {held.id: held.instance for held in end.held} == {"a": "s", "b": "t"}
    none_explains(start, *made, seen, listed(7, 8, a=("attached", "rw", "t"), b=("attached", "rw", "s")))
    none_explains(start, *made, listed(5, 6, a=("attached", "rw", "s")))


def test_attaching_again_is_attaching_once_and_nobody_else_gets_in() -> None:
    first, again = old(1, 2, "attach", instance="s"), old(3, 4, "attach", instance="s")
    (end,) = ends(Volume(), first, again)
    assert len(end.held) == 1
    none_explains(Volume(), first, old(3, 4, "attach", instance="t"))
    none_explains(Volume(), first, old(3, 4, "attach", 400, instance="s"))
    none_explains(Volume(readonly=True), old(1, 2, "attach", instance="s", mode="rw"))


def test_of_a_refused_attach_nothing_stays() -> None:
    start = Volume(held=(replace(OPEN_HOLD, mode="ro"),))
    wrong = old(1, 2, "attach", 400, host="h1", mode="rw")
    ends(start, wrong, call(3, 4, "show", 200, shown("attaching", 1)))
    none_explains(start, wrong, call(3, 4, "show", 200, shown("in-use", 1, "h")))
    none_explains(start, old(1, 2, "attach", host="h1", mode="rw"))


def test_one_who_leaves_does_not_make_his_sibling_leave() -> None:
    start = Volume(shared=True, held=(replace(ATTACHED, id="a"), replace(ATTACHED, id="b", instance="s2")))
    begun = old(1, 2, "begin-detaching")
    ends(start, begun, call(3, 4, "show", 200, shown("in-use", 1, "a", "b")), create(5, 6, "c"))
    none_explains(start, begun, call(3, 4, "show", 200, shown("detaching", 1, "a", "b")))
    ends(start, begun, old(3, 4, "begin-detaching"), call(5, 6, "show", 200, shown("detaching", 1, "a", "b")))
    none_explains(start, begun, old(3, 4, "begin-detaching"), old(5, 6, "begin-detaching"))


def test_the_word_of_one_who_left_does_not_stay_with_his_sibling() -> None:
    start = Volume(shared=True, held=(replace(ATTACHED, id="a"), replace(ATTACHED, id="b", instance="s2")))
    away = delete(3, 4, "a", b="attached")
    ends(start, old(1, 2, "begin-detaching"), away, call(5, 6, "show", 200, shown("in-use", 1, "b")))
    none_explains(start, old(1, 2, "begin-detaching"), away, call(5, 6, "show", 200, shown("detaching", 1, "b")))


def test_who_rolls_back_is_attached_as_before() -> None:
    start, begun = Volume(held=(OLD,)), old(1, 2, "begin-detaching")
    ends(start, begun, old(3, 4, "roll-detaching"), call(5, 6, "show", 200, shown("in-use", 1, "h")))
    none_explains(start, begun, old(3, 4, "roll-detaching"), call(5, 6, "show", 200, shown("detaching", 1, "h")))
    ends(start, old(1, 2, "roll-detaching"))


def test_a_connection_that_is_terminated_ends_a_hold_and_keeps_an_attachment_without_a_door() -> None:
    away = old(1, 2, "disconnect", place="h1|tls")
    (end,) = ends(Volume(held=(OPEN_HOLD,)), away)
    assert end.held == ()
    (end,) = ends(Volume(held=(OLD,)), away)
    assert [(held.state, held.leaving, held.door, end.status) for held in end.held] == [
        ("attached", True, False, "detaching")
    ]
    (end,) = ends(Volume(held=(replace(ATTACHED, state="attaching"),)), away)
    assert [(held.state, held.place, held.door) for held in end.held] == [("reserved", None, False)]
    none_explains(Volume(held=(OPEN_HOLD,)), away, listed(3, 4, h=("attached", "rw", None)))


def test_a_terminated_connection_elsewhere_touches_nothing() -> None:
    start = Volume(held=(OPEN_HOLD,))
    elsewhere = old(1, 2, "disconnect", place="h2|tls")
    ends(start, elsewhere, call(3, 4, "show", 200, shown("attaching", 1)))
    none_explains(start, elsewhere, call(3, 4, "show", 200, shown("available", 1)))


def test_a_neighbours_hold_is_not_ended() -> None:
    start = Volume(shared=True, held=(replace(HOLD, user="other"),))
    for verb in ("unreserve", "disconnect"):
        ends(start, old(1, 2, verb), call(3, 4, "show", 200, shown("attaching", 1)))
        none_explains(start, old(1, 2, verb), call(3, 4, "show", 200, shown("available", 1)))
    closed = replace(OLD, id="o", door=False, ready=False, leaving=True)
    mine = Volume(shared=True, held=(HOLD, closed))
    again = old(1, 2, "disconnect", place="h1|tls")
    none_explains(mine, again, call(3, 4, "show", 200, shown("detaching", 1, "o")))
    ends(mine, again, call(3, 4, "show", 200, shown("attaching", 1, "o")))


def test_who_is_there_already_gets_the_same_door() -> None:
    start = Volume(held=(OPEN_HOLD,))
    ends(start, connected(1, 2, "h"))
    none_explains(start, connected(1, 2, "h", 2))
    none_explains(start, connected(1, 2, "x"))
    ends(Volume(), connected(1, 3, "a"), connected(2, 4, "a"))
    none_explains(Volume(), connected(1, 3, "a"), connected(2, 4, "b", place="h2|tls"))


def test_a_detach_without_a_name_is_of_the_only_one() -> None:
    (end,) = ends(Volume(held=(OLD,)), old(1, 2, "detach"))
    assert end.held == ()
    several = Volume(shared=True, held=(OLD, replace(OLD, id="i", place="h2|tls")))
    none_explains(several, old(1, 2, "detach"))
    ends(several, old(1, 2, "detach", 409))
    (end,) = ends(several, old(1, 2, "detach", id="h"))
    assert [held.id for held in end.held] == ["i"]


def test_a_detach_and_a_terminate_at_once_leave_nothing() -> None:
    pair = (old(1, 4, "disconnect", place="h1|tls"), old(2, 3, "detach"))
    for end in ends(Volume(held=(OLD,)), *pair):
        assert end.held == ()
    none_explains(Volume(held=(OLD,)), *pair, listed(5, 6, h=("attached", "rw", None)))


def test_the_guard_keeps_users_from_servers_by_the_old_calls_too() -> None:
    start = Volume(held=(ATTACHED,))
    for verb, asked in (("detach", {}), ("disconnect", {"place": "h1|tls"})):
        ends(start, old(1, 2, verb, 409, **asked, trusted=False))
        none_explains(start, old(1, 2, verb, **asked, trusted=False))
        none_explains(start, old(1, 2, verb, 409, **asked, trusted=True))
