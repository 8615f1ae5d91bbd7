"""Property protections: who may set, see, change and remove which properties; the first that fits decides."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.config import BadConfiguration, load
from moorage.database import Database
from moorage.images.access.protections import PropertyProtection
from tests.images.cloud import PATCH, ImageCloud, running

RULES = (
    PropertyProtection("^x_secret", create=("admin",), read=("admin",), update=("admin",), delete=("admin",)),
    PropertyProtection("^x_fixed", create=("@",), read=("@",)),
    PropertyProtection("^x_gone", create=("@", "!"), read=("@",)),
    PropertyProtection("^x_", create=("member",), read=("reader",), update=("member",), delete=("member",)),
    PropertyProtection("licen[cs]e", create=("admin",), read=("@",), update=("admin",), delete=("admin",)),
    PropertyProtection("^plain", create=("@",), read=("@",), update=("@",), delete=("@",)),
)


@pytest.fixture
def guarded(database: Database, state_dir: Path) -> Iterator[ImageCloud]:
    with running(database, state_dir, property_protections=RULES) as cloud:
        yield cloud


def create(cloud: ImageCloud, as_: str = "alice", **properties: str) -> int:
    return cloud.call("POST", "/image/v2/images", properties, as_=as_).status


def patch(cloud: ImageCloud, id: str, op: str, name: str, value: str | None = None, as_: str = "alice") -> int:
    change = {"op": op, "path": f"/{name}"} | ({"value": value} if value is not None else {})
    return cloud.call("PATCH", f"/image/v2/images/{id}", [change], headers=PATCH, as_=as_).status


def test_who_may_add(guarded: ImageCloud) -> None:
    assert create(guarded, x_one="1", plain="2", x_fixed="3") == 201
    assert create(guarded, x_secret_key="1") == 403
    assert create(guarded, "root", x_secret_key="1") == 201
    assert create(guarded, os_license="1") == 403  # searched anywhere in the name
    assert create(guarded, "root", x_gone="1") == 403  # nobody, administrators included
    assert create(guarded, "root", unnamed="1") == 403  # what no rule names is nobody's
    id = guarded.image()
    assert patch(guarded, id, "add", "x_secret", "v") == 403
    assert patch(guarded, id, "add", "unnamed", "v") == 403
    assert patch(guarded, id, "add", "x_two", "v") == 200


def test_who_sees(guarded: ImageCloud) -> None:
    id = guarded.image(as_="root", visibility="public", x_secret="s", x_one="1")
    assert guarded.show(id)["x_secret"] == "s"
    shown = guarded.call("GET", f"/image/v2/images/{id}").json
    assert "x_secret" not in shown
    assert shown["x_one"] == "1"
    for who, found in (("alice", 0), ("root", 1)):
        listed = guarded.call("GET", "/image/v2/images?x_secret=s", as_=who).json["images"]
        assert len(listed) == found  # a filter tells nothing either
    (listed,) = guarded.call("GET", "/image/v2/images").json["images"]
    assert "x_secret" not in listed


def test_who_changes_and_removes(guarded: ImageCloud) -> None:
    id = guarded.image(x_one="1", x_fixed="2", plain="3")
    assert patch(guarded, id, "replace", "x_fixed", "other") == 403
    assert patch(guarded, id, "replace", "x_fixed", "2") == 200  # changes nothing
    assert patch(guarded, id, "add", "x_fixed", "other") == 403
    assert patch(guarded, id, "remove", "x_fixed") == 403
    assert patch(guarded, id, "replace", "x_one", "new") == 200
    assert patch(guarded, id, "remove", "x_one") == 200
    assert guarded.show(id)["x_fixed"] == "2"


def test_what_is_not_seen_is_not_there(guarded: ImageCloud) -> None:
    id = guarded.image()
    assert patch(guarded, id, "add", "x_secret", "s", as_="root") == 200
    assert patch(guarded, id, "replace", "x_secret", "t") == 409
    assert patch(guarded, id, "remove", "x_secret") == 409
    assert patch(guarded, id, "add", "x_secret", "t") == 403
    assert patch(guarded, id, "add", "plain", "p") == 200  # and stays when something else is changed
    assert guarded.show(id)["x_secret"] == "s"


def test_without_protections_nothing_is_protected(cloud: ImageCloud) -> None:
    id = cloud.image(x_secret="1", unnamed="2")
    assert patch(cloud, id, "replace", "x_secret", "3") == 200


def test_they_are_configured(state_dir: Path) -> None:
    file = state_dir / "moorage.toml"

    def read(text: str) -> Any:
        file.write_text(f"[[images.property_protections]]\n{text}\n")
        return load(file, state_dir).images.property_protections

    assert read('name = "^x_"\ncreate = ["admin"]\nread = ["@"]') == (
        PropertyProtection("^x_", create=("admin",), read=("@",)),
    )
    with pytest.raises(BadConfiguration, match="regular expression"):
        read('name = "("')
    with pytest.raises(BadConfiguration, match="create"):
        read('name = "x"\ncreat = ["admin"]')
