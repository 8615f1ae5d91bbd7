"""`glance`: images, members, tags and metadata definitions, and what it finds out of schemas and versions."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from glanceclient import shell

from tests.cli.host import Host
from tests.clients.conftest import account, said

DATA = b"glance" * 50_000


class Terminal(io.StringIO):
    """What it reads no image from."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`glance`, which keeps the schemas that it has fetched in its user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin", Terminal())

    def run(*more: str, status: int = 0, cloud: str = "moorage") -> str:
        auth, words = account(host, cloud), list[str]()
        for name in ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name"):
            words += [f"--os-{name.replace('_', '-')}", auth.get(name, "Default")]
        monkeypatch.setattr("sys.argv", ["glance", *words, *more])
        return said(lambda argv: shell.main(), [*words, *more], status)

    return run


def cells(table: str) -> dict[str, str]:
    """A table of two columns."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_the_life_of_an_image(run: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(DATA)
    formats = ["--disk-format", "raw", "--container-format", "bare"]
    made = cells(run("image-create", "--name", "by-glance", *formats, "--file", str(source), "--property", "k=v"))
    id = made["id"]
    assert (made["status"], made["k"], made["checksum"]) == ("active", "v", hashlib.md5(DATA).hexdigest())
    run("image-download", id, "--file", str(target))  # which checks the hash
    assert target.read_bytes() == DATA
    updated = cells(run("image-update", id, "--name", "renamed", "--property", "k=w", "--min-ram", "64"))
    assert (updated["name"], updated["k"], updated["min_ram"]) == ("renamed", "w", "64")
    assert "k" not in cells(run("image-update", id, "--remove-property", "k"))
    run("image-tag-update", id, "blue")
    assert "blue" in cells(run("image-show", id))["tags"]
    run("image-tag-delete", id, "blue")
    run("image-tag-delete", id, "blue", status=1)
    assert id in run("image-list", "--sort", "name:asc", "--property-filter", "disk_format=raw")
    run("image-deactivate", id)
    assert cells(run("image-show", id))["status"] == "deactivated"
    run("image-reactivate", id)
    run("image-delete", id)
    run("image-show", id, status=1)


def test_data_may_come_later(run: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    id = cells(run("image-create", "--name", "later", "--disk-format", "raw", "--container-format", "bare"))["id"]
    assert cells(run("image-show", id))["status"] == "queued"
    run("image-upload", id, "--file", str(source), "--size", str(len(DATA)))
    assert cells(run("image-show", id))["size"] == str(len(DATA))
    run("image-upload", id, "--file", str(source), status=1)
    run("image-delete", id)


def test_members(run: Any) -> None:
    id = cells(run("image-create", "--name", "shared", "--disk-format", "raw", "--container-format", "bare"))["id"]
    assert "pending" in run("member-create", id, "some-project")
    assert "some-project" in run("member-list", "--image-id", id)
    run("member-update", id, "some-project", "accepted", status=1)  # the owner cannot
    assert "accepted" in run("member-update", id, "some-project", "accepted", cloud="moorage-admin")
    run("member-delete", id, "some-project")
    assert "some-project" not in run("member-list", "--image-id", id)
    run("image-delete", id)


def test_metadata_definitions(run: Any) -> None:
    def admin(*words: str) -> str:
        return str(run(*words, cloud="moorage-admin"))

    made = cells(admin("md-namespace-create", "OS::Glanced", "--visibility", "public", "--display-name", "G"))
    assert made["visibility"] == "public"
    updated = cells(admin("md-namespace-update", "OS::Glanced", "--description", "changed"))
    assert (updated["description"], updated["display_name"]) == ("changed", "G")
    assert "OS::Glanced" in run("md-namespace-list")
    assert "OS::Nova::Flavor" in run("md-resource-type-list")
    admin("md-namespace-resource-type-list", "OS::Glanced")
    assert "hw_" in admin("md-resource-type-associate", "OS::Glanced", "--name", "OS::Glance::Image", "--prefix", "hw_")
    schema = json.dumps({"type": "string", "enum": ["a", "b"]})
    admin(
        "md-property-create", "OS::Glanced", "--name", "bus", "--title", "Bus", "--type", "string", "--schema", schema
    )
    assert "Bus" in run("md-property-list", "OS::Glanced")
    admin("md-property-update", "OS::Glanced", "bus", "--title", "New", "--schema", schema)
    assert "New" in run("md-property-show", "OS::Glanced", "bus")
    admin("md-object-create", "OS::Glanced", "--name", "thing", "--schema", json.dumps({"properties": {}}))
    assert "thing" in run("md-object-list", "OS::Glanced")
    admin("md-object-update", "OS::Glanced", "thing", "--name", "other")
    assert "other" in run("md-object-show", "OS::Glanced", "other")
    admin("md-tag-create-multiple", "OS::Glanced", "--names", "one,two")
    admin("md-tag-create", "OS::Glanced", "--name", "three")
    admin("md-tag-update", "OS::Glanced", "three", "--name", "four")
    listed = run("md-tag-list", "OS::Glanced")
    assert all(name in listed for name in ("one", "two", "four")) and "three" not in listed
    for one in ("tag", "object", "property"):
        admin(f"md-namespace-{'properties' if one == 'property' else one + 's'}-delete", "OS::Glanced")
    admin("md-resource-type-deassociate", "OS::Glanced", "OS::Glance::Image")
    run("md-namespace-delete", "OS::Glanced", status=1)
    admin("md-namespace-delete", "OS::Glanced")
    assert "OS::Glanced" not in run("md-namespace-list")


def test_what_it_finds_out(run: Any) -> None:
    assert "image_size_total" in run("usage")
    assert "files" in run("stores-info")  # which is the only one, and a store all the same
    id = cells(run("image-create", "--name", "by-task", "--disk-format", "raw", "--container-format", "bare"))["id"]
    assert "Message" in run("image-tasks", id)  # asked for only where v2.12 is listed
    run("image-delete", id)
    assert '"os_hash_algo"' in run("explain", "image") or "os_hash_algo" in run("explain", "image")
