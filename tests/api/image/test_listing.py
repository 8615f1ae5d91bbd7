"""Lists of images: who sees what, filters, order, pages; nothing that a client can write is too much for them."""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.images.cloud import JSON, ImageCloud


def names(cloud: ImageCloud, query: str = "", as_: str = "alice") -> list[str]:
    reply = cloud.call("GET", f"/image/v2/images?{query}", as_=as_)
    assert reply.status == 200, (query, reply.body)
    return [image["name"] for image in reply.json["images"]]


def test_who_sees_what(cloud: ImageCloud) -> None:
    made = {
        visibility: cloud.image(as_="root", owner="project-b", name=visibility, visibility=visibility)
        for visibility in ("private", "shared", "community", "public")
    }
    mine = {
        visibility: cloud.image(name=f"my {visibility}", visibility=visibility) for visibility in ("private", "shared")
    }
    everything = {*made, "my private", "my shared"}
    assert set(names(cloud)) == {"public", "my private", "my shared"}
    assert set(names(cloud, as_="bob")) == set(made)
    assert set(names(cloud, as_="carol")) == {"public"}
    assert set(names(cloud, as_="root")) == everything - {"community"}
    assert set(names(cloud, "visibility=all", as_="root")) == everything
    assert set(names(cloud, "visibility=all")) == {"public", "community", "my private", "my shared"}
    assert names(cloud, "visibility=community") == ["community"]
    assert names(cloud, "visibility=private") == ["my private"]
    assert names(cloud, "visibility=public") == ["public"]
    assert cloud.call("GET", "/image/v2/images", as_="nobody").status == 403
    assert cloud.call("GET", "/image/v2/images", as_="system").status == 403
    seen = {visibility: cloud.call("GET", f"/image/v2/images/{id}").status for visibility, id in made.items()}
    assert seen == {"private": 404, "shared": 404, "community": 200, "public": 200}
    assert cloud.call("GET", f"/image/v2/images/{mine['private']}", as_="anna").status == 200


def test_shared_images_are_listed_as_they_are_accepted(cloud: ImageCloud) -> None:
    id = cloud.image(name="s")
    members = f"/image/v2/images/{id}/members"
    assert cloud.call("POST", members, {"member": "project-b"}).status == 200
    for acceptance, plain in (("pending", []), ("accepted", ["s"]), ("rejected", [])):
        assert cloud.call("PUT", f"{members}/project-b", {"status": acceptance}, as_="bob").status == 200
        assert names(cloud, as_="bob") == plain
        for asked in ("pending", "accepted", "rejected", "all"):
            wanted = ["s"] if asked in (acceptance, "all") else []
            assert names(cloud, f"visibility=shared&member_status={asked}", as_="bob") == wanted
        assert cloud.call("GET", f"/image/v2/images/{id}", as_="bob").status == 200
    assert names(cloud, "visibility=shared") == ["s"]
    assert names(cloud, as_="carol") == []


def test_hidden_images_are_listed_when_asked_for(cloud: ImageCloud) -> None:
    cloud.image(name="hidden", os_hidden=True)
    cloud.image(name="plain")
    assert names(cloud) == ["plain"]
    assert names(cloud, "os_hidden=False") == ["plain"]
    for text in ("true", "True", "TRUE"):
        assert names(cloud, f"os_hidden={text}") == ["hidden"]


def test_filters(cloud: ImageCloud) -> None:
    cloud.filled(b"x" * 10, name="a", tags=["t", "u"], hw="1", protected=True)
    cloud.image(name="b,c", tags=["t"], disk_format="qcow2", min_disk=3)
    third = cloud.image(name="in:d", container_format="ovf", hw="2", properties="p")
    # fmt: off
    cases: tuple[tuple[str, set[str]], ...] = (
        ("name=a", {"a"}), ("name=A", set()), ("name=in:a,x", {"a"}), ('name=in:"b,c",a', {"a", "b,c"}),
        ("name=eq:a", {"a"}), ("name=eq:in:d", {"in:d"}), (f"id={third}", {"in:d"}), (f"id=in:{third}", {"in:d"}),
        ("status=active", {"a"}), ("status=in:active,queued", {"a", "b,c", "in:d"}), ("status=weird", set()),
        ("disk_format=qcow2", {"b,c"}), ("disk_format=in:qcow2,iso", {"b,c"}), ("container_format=ovf", {"in:d"}),
        ("size_min=10", {"a"}), ("size_max=9", set()), ("size_min=0&size_max=10", {"a"}), ("min_disk_min=3", {"b,c"}),
        ("tag=t", {"a", "b,c"}), ("tag=t&tag=u", {"a"}), ("tag=x", set()), ("owner=project-a", {"a", "b,c", "in:d"}),
        ("owner=project-b", set()), ("checksum=x", set()), ("protected=true", {"a"}),
        ("protected=false", {"b,c", "in:d"}),
        ("hw=1", {"a"}), ("hw=1&hw=2", set()), ("hw=1&name=a", {"a"}), ("unknown=x", set()), ("unknown_min=x", set()),
        ("properties=p", {"in:d"}), ("locations=x", set()), (f"size_min={'9' * 30}", set()), ("tags=t", set()),
        ("created_at=gt:2000-01-01T00:00:00Z", {"a", "b,c", "in:d"}), ("created_at=lt:2000-01-01", set()),
        ("updated_at=gte:2000-01-01T00:00:00%2B02:00", {"a", "b,c", "in:d"}),
        ("created_at=neq:2000-01-01T00:00:00", {"a", "b,c", "in:d"}), ("created_at=2000-01-01T00:00:00", set()),
    )
    # fmt: on
    for query, found in cases:
        assert (query, set(names(cloud, query))) == (query, found)
    at = quote(cloud.show(third)["created_at"])
    assert "in:d" in names(cloud, f"created_at={at}")
    assert "in:d" in names(cloud, f"created_at=eq:{at}")
    assert "in:d" in names(cloud, f"created_at=gte:{at}")
    assert "in:d" in names(cloud, f"created_at=lte:{at}")
    assert "in:d" not in names(cloud, f"created_at=gt:{at}")
    assert "in:d" not in names(cloud, f"created_at=neq:{at}")


def test_what_means_nothing_is_refused(cloud: ImageCloud) -> None:
    # fmt: off
    queries = (
        "limit=-1", "limit=x", "limit=", "limit=1.5", "marker=x", "marker=11111111-1111-4111-8111-111111111111",
        "sort_key=x", "sort_key=owner", "sort_dir=up",
        "sort_key=name&sort_key=id&sort_key=size&sort_dir=asc&sort_dir=asc",
        "sort=x", "sort=name:up", "sort=name&sort_key=name", "sort=name&sort_dir=asc", "sort=", "name=gt:a",
        'name=in:"a', 'name=in:a"b"', "created_at=x", "created_at=in:2000-01-01", "created_at=gt:", "size_min=x",
        "size_max=", "protected=True", "protected=1", "os_hidden=1", "visibility=x", "visibility=", "member_status=x",
        "changes-since=2000-01-01", "created_at=gt:9999999999-01-01", f"tag={'x' * 256}", "name=%00", "%00=x",
    )
    # fmt: on
    for query in queries:
        reply = cloud.call("GET", f"/image/v2/images?{query}", headers=JSON)
        assert (query, reply.status, bool(reply.json["message"])) == (query, 400, True)


def test_orders(cloud: ImageCloud) -> None:
    for name, size in (("b", 3), ("a", 2), ("c", 0)):
        cloud.filled(b"x" * size, name=name)
    cloud.image(name="d")
    # fmt: off
    cases: tuple[tuple[str, str], ...] = (
        ("", "dcab"), ("sort_dir=asc", "bacd"), ("sort_key=name", "dcba"), ("sort_key=name&sort_dir=asc", "abcd"),
        ("sort=name:asc", "abcd"), ("sort=name", "dcba"), ("sort=size:asc", "dcab"), ("sort=size:desc", "bacd"),
        ("sort_key=status&sort_key=name&sort_dir=asc&sort_dir=desc", "cbad"), ("sort=status:asc,name:desc", "cbad"),
        ("sort_key=status&sort_key=name&sort_dir=asc", "abcd"), ("sort=created_at:asc", "bacd"),
    )
    # fmt: on
    for query, order in cases:
        assert (query, "".join(names(cloud, query))) == (query, order)


def walk(cloud: ImageCloud, url: str) -> tuple[list[str], list[str]]:
    """The names on all pages from `url` on, and the links that were followed."""
    found, links = [], []
    while True:
        reply = cloud.call("GET", url)
        assert reply.status == 200, (url, reply.body)
        found += [image["name"] for image in reply.json["images"]]
        if "next" not in reply.json:
            return found, links
        links.append(reply.json["next"])
        url = "/image" + reply.json["next"]


def test_pages_repeat_every_parameter_and_miss_nothing(cloud: ImageCloud) -> None:
    for number in range(7):
        cloud.image(name=f"n{number % 3}", tags=["x", "y"] if number else ["x"], size_free="é & =")
    query = f"limit=2&sort_key=name&sort_dir=asc&tag=x&tag=y&size_free={quote('é & =')}"
    found, links = walk(cloud, f"/image/v2/images?{query}")
    assert found == ["n0", "n0", "n1", "n1", "n2", "n2"]
    assert all(parse_qs(urlsplit(link).query)["tag"] == ["x", "y"] for link in links)
    first = cloud.call("GET", f"/image/v2/images?{query}").json["first"]
    assert parse_qs(urlsplit(first).query) == parse_qs(query)
    for sort in ("size:asc", "size:desc", "name:asc,size:desc"):
        assert len(walk(cloud, f"/image/v2/images?limit=3&sort={sort}")[0]) == 7


def test_a_marker_may_be_deleted_meanwhile(cloud: ImageCloud) -> None:
    ids = [cloud.image(name=str(number)) for number in range(4)]
    page = cloud.call("GET", "/image/v2/images?limit=2").json
    assert [image["name"] for image in page["images"]] == ["3", "2"]
    assert cloud.call("DELETE", f"/image/v2/images/{ids[2]}").status == 204
    rest = cloud.call("GET", "/image" + page["next"]).json
    assert [image["name"] for image in rest["images"]] == ["1", "0"]


def test_pages_have_limits(database: Any, state_dir: Any) -> None:
    from tests.images.cloud import running

    with running(database, state_dir, page=3, largest_page=4) as cloud:
        for _ in range(5):
            cloud.image()
        assert len(names(cloud)) == 3
        assert len(names(cloud, "limit=100")) == 4
        reply = cloud.call("GET", "/image/v2/images?limit=0").json
        assert (reply["images"], "next" in reply) == ([], False)
