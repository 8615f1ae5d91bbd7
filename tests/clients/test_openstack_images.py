"""`openstack image ...`: the day of an image, of those that it is shared with, and of metadata definitions."""

import json
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection
from openstackclient import shell
from openstackclient.common.clientmanager import ClientManager
from osc_lib.clientmanager import ClientCache

from tests.clients.conftest import said

DATA = bytes(range(256)) * 4096


def run(*words: str, status: int = 0, cloud: str = "moorage") -> str:
    for kind in ClientManager.__mro__:  # they are kept for the process, whichever cloud they were made for
        for cached in vars(kind).values():
            if isinstance(cached, ClientCache):
                cached._handle = None
    return said(shell.main, ["--os-cloud", cloud, "image", *words], status)


def told(*words: str, **more: Any) -> Any:
    """What a command says as JSON; its keys are its columns."""
    return json.loads(run(*words, "-f", "json", **more))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.raw"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def image(connect: Any, file: Path) -> str:
    words = [
        "--file",
        str(file),
        "--disk-format",
        "raw",
        "--container-format",
        "bare",
        "--property",
        "os_distro=debian",
    ]
    return str(told("create", "cli-image", *words, "--tag", "first")["id"])


def test_an_image_is_created_shown_changed_saved_and_deleted(image: str, tmp_path: Path) -> None:
    shown = told("show", image)
    assert (shown["status"], shown["size"], shown["visibility"]) == ("active", len(DATA), "shared")
    assert (shown["properties"]["os_distro"], shown["tags"]) == ("debian", ["first"])
    run("set", image, "--name", "renamed", "--property", "hw_disk_bus=scsi", "--min-disk", "1", "--tag", "second")
    run("set", image, "--private", "--protected", "--hidden")
    shown = told("show", image)
    assert (shown["name"], shown["min_disk"], shown["visibility"]) == ("renamed", 1, "private")
    assert (shown["protected"], shown["properties"]["os_hidden"]) == (True, True)
    assert (shown["properties"]["hw_disk_bus"], sorted(shown["tags"])) == ("scsi", ["first", "second"])
    run("delete", image, status=1)
    run("unset", image, "--property", "hw_disk_bus", "--tag", "first")
    run("set", image, "--unprotected", "--unhidden", "--shared")
    shown = told("show", image)
    assert ("hw_disk_bus" in shown["properties"], shown["tags"]) == (False, ["second"])
    run("save", image, "--file", str(tmp_path / "saved"))
    assert (tmp_path / "saved").read_bytes() == DATA
    run("set", image, "--deactivate")
    assert told("show", image)["status"] == "deactivated"
    run("save", image, "--file", str(tmp_path / "refused"), status=1)
    run("set", image, "--activate")
    run("delete", image)
    assert "No Image found" in run("show", image, status=1)


def test_lists(image: str) -> None:
    run("set", image, "--name", "listed")
    assert [one["ID"] for one in told("list", "--name", "listed")] == [image]
    assert [one["ID"] for one in told("list", "--property", "os_distro=debian", "--status", "active")] == [image]
    (row,) = told("list", "--long", "--name", "listed")
    assert (row["Size"], row["Disk Format"], row["Tags"]) == (len(DATA), "raw", ["first"])
    assert told("list", "--tag", "nonesuch") == []
    assert [one["ID"] for one in told("list", "--sort", "size:desc,name:asc", "--shared")] == [image]
    run("set", image, "--hidden")
    assert told("list") == []
    assert [one["ID"] for one in told("list", "--hidden")] == [image]
    run("delete", image)


def test_an_image_is_shared_with_a_project(image: str, admin: Connection) -> None:
    other = admin.identity.find_project("admin")
    assert other is not None
    run("add", "project", image, other.id)
    (member,) = told("member", "list", image)
    assert (member["Member ID"], member["Status"]) == (other.id, "pending")
    assert told("member", "get", image, other.id)["status"] == "pending"
    run("set", image, "--accept", "--project", other.id, cloud="moorage-admin")
    assert told("member", "list", image)[0]["Status"] == "accepted"
    run("add", "project", image, other.id, status=1)  # twice
    run("remove", "project", image, other.id)
    assert told("member", "list", image) == []
    run("delete", image)


def test_metadata_definitions(connect: Any, tmp_path: Path) -> None:
    def admin(*words: str) -> str:
        return run("metadef", *words, cloud="moorage-admin")

    def shown(*words: str) -> Any:
        return json.loads(run("metadef", *words, "-f", "json"))

    admin("namespace", "create", "OS::Cli", "--display-name", "By hand", "--public", "--description", "words")
    assert [one["namespace"] for one in shown("namespace", "list")] == ["OS::Cli"]
    assert shown("namespace", "show", "OS::Cli")["display_name"] == "By hand"
    admin("namespace", "set", "OS::Cli", "--display-name", "Renamed", "--public")
    assert shown("namespace", "show", "OS::Cli")["display_name"] == "Renamed"
    assert {"name": "OS::Glance::Image"}.items() <= {
        k.lower(): v for k, v in shown("resource", "type", "list")[0].items()
    }.items()
    admin("resource", "type", "association", "create", "OS::Cli", "OS::Glance::Image")
    (association,) = shown("resource", "type", "association", "list", "OS::Cli")
    assert "OS::Glance::Image" in association.values()
    words = ["--name", "hw_bus", "--title", "Bus", "--type", "string", "--schema", '{"enum": ["ide", "scsi"]}']
    admin("property", "create", "OS::Cli", *words)
    assert shown("property", "show", "OS::Cli", "hw_bus")["title"] == "Bus"
    admin("property", "set", "OS::Cli", "hw_bus", "--title", "The bus")
    (listed,) = shown("property", "list", "OS::Cli")
    assert "The bus" in listed.values()
    admin("object", "create", "--namespace", "OS::Cli", "an-object")
    assert shown("object", "show", "OS::Cli", "an-object")["name"] == "an-object"
    admin("object", "delete", "OS::Cli", "an-object")
    admin("property", "delete", "OS::Cli", "hw_bus")
    admin("resource", "type", "association", "delete", "OS::Cli", "OS::Glance::Image")
    run("metadef", "namespace", "delete", "OS::Cli", status=1)  # a user may not
    admin("namespace", "delete", "OS::Cli")
    assert shown("namespace", "list") == []
