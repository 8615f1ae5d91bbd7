"""The checker takes histories of an image that some order explains, and no others."""

from dataclasses import replace
from typing import Any

import pytest

from tests.properties.checker import Unexplained, explain
from tests.properties.history import Call
from tests.properties.image_model import Image
from tests.properties.image_plans import plans

QUEUED = Image(there=True)
ACTIVE = Image(there=True, content="a")


def call(began: int, ended: int, verb: str, code: int, seen: dict[str, Any] | None = None, **asked: Any) -> Call:
    return Call(began, verb, asked, began, ended, None, code, seen or {})


def upload(began: int, ended: int, code: int, content: str) -> Call:
    return call(began, ended, "upload", code, content=content)


def patch(began: int, ended: int, after: Image, name: str, value: Any) -> Call:
    return call(began, ended, "patch", 200, shown(after), name=name, value=value)


def shown(image: Image) -> dict[str, Any]:
    names = ("status", "content", "visibility", "protected", "name", "properties", "tags")
    return {name: getattr(image, name) for name in names}


def ends(start: Image, *calls: Call) -> set[Image]:
    return explain([start], calls, plans)


def none_explains(start: Image, *calls: Call) -> None:
    with pytest.raises(Unexplained):
        ends(start, *calls)


def test_of_two_uploads_one_wins() -> None:
    (end,) = ends(QUEUED, upload(1, 4, 409, "b"), upload(2, 3, 204, "a"))
    assert end == ACTIVE
    none_explains(QUEUED, upload(1, 3, 204, "a"), upload(2, 4, 204, "b"))
    none_explains(QUEUED, upload(1, 2, 409, "a"), upload(3, 4, 204, "b"))


def test_what_is_read_is_what_the_winner_brought() -> None:
    read = call(5, 6, "download", 200, {"content": "b"}, who="alice")
    none_explains(QUEUED, upload(1, 3, 204, "a"), upload(2, 4, 409, "b"), read)


def test_an_acknowledged_change_is_not_lost() -> None:
    one, two = QUEUED.having("p", "1"), QUEUED.having("q", "2")
    both = one.having("q", "2")
    (end,) = ends(QUEUED, patch(1, 4, one, "p", "1"), patch(2, 3, both, "q", "2"))
    assert end == both
    none_explains(QUEUED, patch(1, 4, one, "p", "1"), patch(2, 3, two, "q", "2"))
    lost = call(5, 6, "show", 200, shown(two), who="alice")
    none_explains(QUEUED, patch(1, 4, one, "p", "1"), patch(2, 3, both, "q", "2"), lost)


def test_nothing_comes_back_after_a_deletion() -> None:
    gone = call(1, 2, "delete", 204)
    none_explains(ACTIVE, gone, call(3, 4, "show", 200, shown(ACTIVE), who="alice"))
    none_explains(ACTIVE, gone, call(3, 4, "create", 201, name="n", visibility="shared"))
    (end,) = ends(QUEUED, upload(1, 4, 410, "a"), call(2, 3, "delete", 204))
    assert end.gone
    none_explains(QUEUED, call(1, 2, "delete", 204), upload(3, 4, 410, "a"))


def test_a_protected_image_is_not_deleted() -> None:
    shut = replace(ACTIVE, protected=True)
    none_explains(shut, call(1, 2, "delete", 204))
    none_explains(ACTIVE, patch(1, 4, shut, "protected", True), call(2, 3, "delete", 204))


def test_who_does_not_see_an_image_is_not_told_of_it() -> None:
    private = replace(ACTIVE, visibility="private", acceptance="accepted")
    none_explains(private, call(1, 2, "show", 200, shown(private), who="bob"))
    ends(private, call(1, 2, "show", 404, who="bob"))
    none_explains(replace(private, visibility="shared"), call(1, 2, "show", 404, who="bob"))


def test_nobody_but_an_administrator_reads_what_is_deactivated() -> None:
    off, read = replace(ACTIVE, deactivated=True), {"content": "a"}
    ends(off, call(1, 2, "download", 200, read, who="root"), call(3, 4, "download", 403, who="alice"))
    none_explains(off, call(1, 2, "download", 200, read, who="alice"))


def test_an_upload_whose_client_went_leaves_nothing_once_it_is_settled() -> None:
    cut = upload(1, 2, 0, "a")
    assert ends(QUEUED, cut) == {QUEUED}
    none_explains(QUEUED, cut, call(3, 4, "download", 200, {"content": "a"}, who="alice"))
    ends(QUEUED, cut, upload(3, 4, 409, "b"))
    cut.settled = 2
    none_explains(QUEUED, cut, upload(3, 4, 409, "b"))


def test_an_answer_that_no_plan_gives_is_not_explained() -> None:
    none_explains(QUEUED, call(1, 2, "show", 500, who="alice"))
