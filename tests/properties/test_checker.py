"""The checker takes histories that some order explains, and no others."""

from typing import Any

import pytest

from tests.properties.checker import Unexplained, explain
from tests.properties.history import Call, History
from tests.properties.model import Held, Volume
from tests.properties.plans import plans

ATTACHED = Held("a", "s1", "attached", "rw", "h1|tls", ready=True, generation=1, door=True)
OPENED = {"state": "attaching", "mode": "rw", "ready": True, "generation": 1}
RESERVED = {"state": "reserved", "mode": None, "ready": False, "generation": 0}


def call(began: int, ended: int, verb: str, code: int, seen: dict[str, Any] | None = None, **asked: Any) -> Call:
    more = {
        "create": {"instance": None, "mode": None, "place": None, "connector_mode": None},
        "update": {"connector_mode": None},
        "delete": {"trusted": True},
        "connect": {"as_": "u", "connector_mode": None},
        "attach": {"as_": "u", "instance": None, "host": None, "mode": None},
        "disconnect": {"as_": "u", "trusted": True, "place": None},
        "detach": {"as_": "u", "trusted": True, "place": None, "id": None},
    }
    return Call(began, verb, {"as_": "u", **more.get(verb, {}), **asked}, began, ended, None, code, seen or {})


def create(began: int, ended: int, id: str, **asked: Any) -> Call:
    return call(began, ended, "create", 200, {"id": id, **(OPENED if asked.get("place") else RESERVED)}, **asked)


def refused(began: int, ended: int, status: str, **asked: Any) -> Call:
    return call(began, ended, "create", 400, {"status": status}, **asked)


def delete(began: int, ended: int, id: str, **remaining: str) -> Call:
    return call(began, ended, "delete", 200, {"remaining": remaining}, id=id)


def listed(began: int, ended: int, **held: tuple[str, str | None, str | None]) -> Call:
    return call(began, ended, "list", 200, {"held": held})


def ends(start: Volume, *calls: Call) -> set[Volume]:
    return explain([start], calls, plans)


def none_explains(start: Volume, *calls: Call) -> None:
    with pytest.raises(Unexplained):
        ends(start, *calls)


def test_of_two_one_wins_whichever_began_first() -> None:
    (end,) = ends(Volume(), refused(1, 4, "reserved"), create(2, 3, "a"))
    assert [held.id for held in end.held] == ["a"]


def test_two_winners_are_not_explained() -> None:
    none_explains(Volume(), create(1, 3, "a"), create(2, 4, "b"))


def test_two_winners_are_explained_where_one_left_in_between() -> None:
    ends(Volume(), create(1, 9, "a"), create(2, 10, "b"), listed(11, 12, b=("reserved", None, None)), delete(3, 8, "a"))


def test_two_of_one_server_and_two_of_a_shared_volume_are_explained() -> None:
    ends(Volume(), create(1, 3, "a", instance="s"), create(2, 4, "b", instance="s"))
    ends(Volume(shared=True), create(1, 3, "a", instance="s"), create(2, 4, "b", instance="t"))
    none_explains(Volume(), create(1, 3, "a", instance="s"), create(2, 4, "b", instance="t"))


def test_a_refusal_names_a_status_that_the_volume_had() -> None:
    ends(Volume(), create(1, 4, "a", place="h1|tls"), refused(2, 3, "attaching"))
    none_explains(Volume(), create(1, 4, "a", place="h1|tls"), refused(2, 3, "in-use"))


def test_nobody_is_refused_without_a_reason() -> None:
    none_explains(Volume(), refused(1, 2, "available"))
    none_explains(Volume(shared=True, held=(ATTACHED,)), refused(1, 2, "in-use"))
    none_explains(Volume(), create(1, 2, "a"), delete(3, 4, "a"), refused(5, 6, "reserved"))


def test_a_lost_update_is_not_explained() -> None:
    mine = call(1, 2, "update", 200, {**OPENED, "generation": 2}, id="a", place="h2|tls")
    lost = call(3, 4, "list", 200, {"held": {"a": ("attached", "rw", "s1")}})
    none_explains(Volume(held=(ATTACHED,)), mine, lost)
    ends(Volume(held=(ATTACHED,)), mine, listed(3, 4, a=("attaching", "rw", "s1")))


def test_two_who_take_over_get_generations_of_their_own() -> None:
    def take(began: int, place: str, generation: int) -> Call:
        return call(began, began + 5, "update", 200, {**OPENED, "generation": generation}, id="a", place=place)

    late = call(2, 7, "update", 409, id="a", place="h3|tls")
    ends(Volume(held=(ATTACHED,)), take(1, "h2|tls", 3), late)
    ends(Volume(held=(ATTACHED,)), take(1, "h2|tls", 2), take(2, "h3|tls", 3))
    none_explains(Volume(held=(ATTACHED,)), take(1, "h2|tls", 2), take(2, "h3|tls", 2))


def test_a_resurrected_attachment_is_not_explained() -> None:
    start = Volume(held=(ATTACHED,))
    complete = call(3, 4, "complete", 204, id="a")
    none_explains(start, delete(1, 2, "a"), complete)
    none_explains(start, delete(1, 2, "a"), listed(3, 4, a=("attached", "rw", "s1")))
    ends(start, delete(1, 4, "a"), call(2, 3, "complete", 204, id="a"))
    ends(start, delete(1, 4, "a"), call(2, 3, "complete", 409, id="a"))


def test_a_reader_that_may_write_is_not_explained() -> None:
    asked = {"mode": "ro", "place": "h1|tls"}
    none_explains(Volume(), create(1, 2, "a", **asked))
    seen = {"id": "a", **OPENED, "mode": "ro"}
    ends(Volume(), call(1, 2, "create", 200, seen, instance=None, connector_mode=None, **asked))
    none_explains(Volume(readonly=True), create(1, 2, "a", place="h1|tls", mode="rw"))


def test_deleting_twice_is_deleting_once() -> None:
    start = Volume(held=(ATTACHED,))
    ends(start, delete(1, 4, "a"), delete(2, 3, "a"))
    ends(start, delete(1, 4, "a"), call(2, 5, "delete", 404, id="a"))
    none_explains(start, delete(1, 2, "a"), delete(3, 4, "a"))


def test_what_remains_was_there_at_one_moment() -> None:
    sibling = Held("b", None, "reserved")
    start = Volume(shared=True, held=(ATTACHED, sibling))
    ends(start, delete(1, 4, "a", b="reserved"), delete(2, 3, "b"))
    ends(start, delete(1, 4, "a"), delete(2, 3, "b", a="detaching"))
    none_explains(start, delete(1, 4, "a", b="reserved"), delete(2, 5, "b", a="attached", c="reserved"))
    none_explains(start, delete(1, 2, "a"), delete(3, 4, "b"))


def test_the_guard_keeps_users_from_servers() -> None:
    start = Volume(held=(ATTACHED,))
    ends(start, call(1, 2, "delete", 409, id="a", trusted=False))
    none_explains(start, call(1, 2, "delete", 409, id="a", trusted=True))
    none_explains(start, call(1, 2, "delete", 200, {"remaining": {}}, id="a", trusted=False))


def test_a_volume_is_not_deleted_under_its_holder() -> None:
    away = call(1, 4, "delete-volume", 202)
    none_explains(Volume(), away, create(2, 3, "a"), call(5, 6, "show", 404))
    ends(Volume(), away, refused(2, 3, "deleting"), call(5, 6, "show", 404))
    none_explains(Volume(held=(ATTACHED,)), away)


def test_work_may_go_on_after_the_answer_but_not_once_it_is_settled() -> None:
    history = [call(1, 2, "extend", 202, size_gib=2), call(3, 4, "show", 200, shown("extending", 1))]
    ends(Volume(), *history)
    history[0].settled = 3
    none_explains(Volume(), history[0], call(4, 5, "show", 200, shown("extending", 1)))
    ends(Volume(), history[0], call(4, 5, "show", 200, shown("available", 2)))


def shown(status: str, size_gib: int, *attached: str) -> dict[str, Any]:
    return {"status": status, "size_gib": size_gib, "attached": set(attached)}


def test_a_status_that_does_not_follow_from_the_attachments_is_not_explained() -> None:
    start = Volume(held=(ATTACHED,))
    ends(start, call(1, 2, "show", 200, shown("in-use", 1, "a")))
    none_explains(start, call(1, 2, "show", 200, shown("available", 1, "a")))
    none_explains(start, call(1, 2, "show", 200, shown("in-use", 1)))
    none_explains(Volume(held=(Held("a"),)), call(1, 2, "show", 200, shown("available", 1)))


def test_an_answer_that_no_plan_gives_is_not_explained() -> None:
    none_explains(Volume(), call(1, 2, "create", 500))


def test_a_report_shows_the_history_and_how_far_it_went() -> None:
    with pytest.raises(Unexplained, match=r"(?s)#1 .*create.*#2 .*create.*the longest explanation.*reserve"):
        ends(Volume(), create(1, 3, "a"), create(2, 4, "b"))


def test_a_history_has_the_order_of_its_calls() -> None:
    history = History()
    history.perform("show", {}, lambda: (404, {}))
    history.settle()
    second = history.perform("show", {}, lambda: (404, {}))
    first = history.calls[0]
    assert first.ended is not None and first.settled is not None
    assert first.began < first.ended < first.settled < second.began
    assert second.settled is None
