"""Lists: pages, order, filters."""

from urllib.parse import quote, urlsplit

import pytest

from tests.volumes.rig import Rig


@pytest.fixture
def three(rig: Rig) -> list[str]:
    made = [rig.volume(name=name, size=size, metadata=pairs) for name, size, pairs in THREE]
    return made


THREE = (("b", 1, {"k": "v"}), ("a", 3, {"k": "w"}), ("a%_x", 2, {"k": "v", "l": "x"}))


def names(rig: Rig, query: str, as_: str = "demo", version: str = "3.71") -> list[str]:
    reply = rig.call("GET", f"/volumes/detail?{query}", as_=as_, version=version)
    assert reply.status == 200, reply.body
    return [row["name"] for row in reply.json["volumes"]]


def test_pages_follow_their_links(rig: Rig, three: list[str]) -> None:
    seen, url = [], "/volume/v3/volumes?limit=2&with_count=true&sort=name:asc"
    for _ in range(3):
        reply = rig.call("GET", url)
        assert reply.json["count"] == 3
        seen += [row["id"] for row in reply.json["volumes"]]
        if "volumes_links" not in reply.json:
            break
        parts = urlsplit(reply.json["volumes_links"][0]["href"])
        url = f"{parts.path}?{parts.query}"
    assert seen == [three[1], three[2], three[0]]


def test_order(rig: Rig, three: list[str]) -> None:
    assert names(rig, "") == ["a%_x", "a", "b"]
    assert names(rig, "sort=created_at:asc") == ["b", "a", "a%_x"]
    assert names(rig, "sort=size:desc,name") == ["a", "a%_x", "b"]
    assert names(rig, "sort_key=size&sort_dir=asc") == ["b", "a%_x", "a"]
    assert names(rig, "offset=1&limit=1") == ["a"]
    assert names(rig, "limit=0") == []


def test_filters(rig: Rig, three: list[str]) -> None:
    assert names(rig, "name=a") == names(rig, "display_name=a") == ["a"]
    assert names(rig, "size=2") == ["a%_x"] and names(rig, "size=99999999999999999999") == names(rig, "size=x") == []
    assert names(rig, "status=available&bootable=false&availability_zone=nova") == ["a%_x", "a", "b"]
    assert names(rig, "bootable=true") == names(rig, "group_id=x") == []
    assert names(rig, "metadata=" + quote("{'k': 'v'}")) == ["a%_x", "b"]
    assert names(rig, "metadata=" + quote('{"k": "v", "l": "x"}')) == ["a%_x"]
    assert names(rig, "metadata=" + quote("""{'k"': 'v'}""")) == []
    assert names(rig, "name~=" + quote("%_")) == ["a%_x"]
    assert names(rig, "created_at=" + quote("gt:2020-01-01T00:00:00,lt:2999-01-01T00:00:00")) == ["a%_x", "a", "b"]
    assert names(rig, "created_at=lt:2020-01-01T00:00:00") == []
    assert names(rig, f"all_tenants=1&project_id={'d' * 32}&user_id=u-demo", "admin") == ["a%_x", "a", "b"]
    assert names(rig, "all_tenants=1&project_id=x", "admin") == names(rig, "", "admin") == []
    assert names(rig, "bogus=1", version="3.30") == ["a%_x", "a", "b"]


REFUSED = (
    ("limit=-1", 400, "limit param must be positive"),
    ("limit=x", 400, "limit"),
    ("offset=99999999999", 400, "offset"),
    ("offset=-1", 400, "offset"),
    ("marker=nonesuch", 404, "Volume nonesuch could not be found."),
    ("marker=%00", 400, ""),
    ("sort=nonsense", 400, "Invalid sort key"),
    ("sort=name:up", 400, "Invalid sort direction"),
    ("sort_key=nonsense", 400, "Invalid sort key"),
    ("sort=name&sort_key=name", 400, "deprecated"),
    ("bogus=1&status=x", 400, "Invalid filters bogus are found in query options."),
    ("project_id=x", 400, "Invalid filters project_id"),
    ("bootable=maybe", 400, "bootable"),
    ("all_tenants=perhaps", 400, "all_tenants"),
    ("with_count=perhaps", 400, "with_count"),
    ("metadata=x", 400, "object"),
    ("metadata=[1]", 400, "object"),
    ("metadata=__import__('os')", 400, "object"),
    ("metadata=" + "(" * 3000, 400, "object"),
    ("metadata=" + "{" * 9000, 400, "object"),
    ("created_at=gt:yesterday", 400, "time"),
)


@pytest.mark.parametrize(("query", "status", "said"), REFUSED, ids=[row[0][:40] for row in REFUSED])
def test_what_is_refused(fast: Rig, query: str, status: int, said: str) -> None:
    reply = fast.call("GET", f"/volumes/detail?{query}")
    assert reply.status == status and said in reply.message


@pytest.mark.parametrize(
    "name", ["name", "status", "availability_zone", "migration_status", "created_at", "size", "metadata"]
)
def test_a_nul_finds_nothing_and_breaks_nothing(rig: Rig, name: str) -> None:
    assert rig.call("GET", f"/volumes?{name}=a%00b").status in (200, 400)
    assert rig.call("GET", f"/volumes?{name}~=a%00b").status in (200, 400)


def test_the_summary(rig: Rig, three: list[str]) -> None:
    summary = rig.call("GET", "/volumes/summary").json["volume-summary"]
    assert summary == {"total_count": 3, "total_size": 6, "metadata": {"k": ["v", "w"], "l": ["x"]}}
    old = rig.call("GET", "/volumes/summary", version="3.12").json["volume-summary"]
    assert old == {"total_count": 3, "total_size": 6}
    assert rig.call("GET", "/volumes/summary?all_tenants=1", as_="admin").json["volume-summary"]["total_count"] == 3
    assert rig.call("GET", "/volumes/summary", as_="other").json["volume-summary"]["total_size"] == 0
    assert rig.call("GET", "/volumes/summary", version="3.11").status == 404
