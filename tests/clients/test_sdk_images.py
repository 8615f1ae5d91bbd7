"""openstacksdk's create_image and download_image, with the checks that they make of what they got."""

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from openstack.connection import Connection

DATA = b"sdk" * 700_001


@pytest.fixture
def user(connect: Any) -> Connection:
    return connect("moorage")  # type: ignore[no-any-return]


def test_an_image_goes_there_and_back(user: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    made = user.image.create_image(
        "sdk", filename=str(source), disk_format="raw", container_format="bare", validate_checksum=True, wait=True
    )
    assert made.status == "active"
    image = user.image.get_image(made.id)
    assert (image.size, image.checksum) == (len(DATA), hashlib.md5(DATA).hexdigest())
    assert image.hash_value == hashlib.sha512(DATA).hexdigest()
    whole = user.image.download_image(image)
    assert whole.content == DATA
    target = tmp_path / "target"
    user.image.download_image(image, output=str(target))
    assert target.read_bytes() == DATA
    stream = io.BytesIO()
    user.image.download_image(image, output=stream, chunk_size=65536)
    assert stream.getvalue() == DATA
    pieces = user.image.download_image(image, stream=True)
    assert b"".join(pieces.iter_content(65536)) == DATA
    user.image.delete_image(image)
    assert user.image.find_image(made.id) is None


def test_the_same_image_is_not_sent_twice(user: Connection, tmp_path: Path) -> None:
    """The SDK notes hashes as properties, and knows an image by them."""
    source = tmp_path / "source"
    source.write_bytes(DATA)
    sent = {"filename": str(source), "disk_format": "raw", "container_format": "bare", "validate_checksum": True}
    first = user.create_image("again", **sent, wait=True)
    assert first.properties["owner_specified.openstack.sha256"] == hashlib.sha256(DATA).hexdigest()
    second = user.create_image("again", **sent, wait=True)
    assert second.id == first.id
    user.delete_image(first.id, wait=True)


def test_data_by_a_generator(user: Connection) -> None:
    pieces = (b"x" * 100_000 for _ in range(20))
    image = user.image.create_image("stream", disk_format="raw", container_format="bare")
    image.data = pieces
    image.upload(user.image)
    assert user.image.get_image(image.id).size == 2_000_000
    user.image.delete_image(image)


def test_changes_lists_members_and_tags(user: Connection) -> None:
    image = user.image.create_image("changed", disk_format="raw", container_format="bare", tags=["a"])
    user.image.update_image(image, name="new", min_disk=2, os_distro="debian", colour="blue")
    shown = user.image.get_image(image.id)
    assert (shown.name, shown.min_disk, shown.os_distro, shown.properties["colour"]) == ("new", 2, "debian", "blue")
    user.image.add_tag(image, "b")
    user.image.remove_tag(image, "a")
    assert user.image.get_image(image.id).tags == ["b"]
    assert [one.id for one in user.image.images(name="new", visibility="shared")] == [image.id]
    user.image.add_member(image, member_id="other-project")
    assert [member.status for member in user.image.members(image)] == ["pending"]
    user.image.remove_member("other-project", image=image)
    assert list(user.image.members(image)) == []
    user.image.delete_image(image)


def test_lists_are_followed_page_by_page(user: Connection) -> None:
    made = {user.image.create_image(f"page-{n}", disk_format="raw", container_format="bare").id for n in range(5)}
    assert {image.id for image in user.image.images(limit=2)} >= made
    for id in made:
        user.image.delete_image(id)


def test_metadata_definitions(admin: Connection, user: Connection) -> None:
    made = admin.image.create_metadef_namespace(namespace="OS::Sdk", visibility="public", display_name="S")
    assert [one.namespace for one in user.image.metadef_namespaces()] == ["OS::Sdk"]
    admin.image.update_metadef_namespace(made, display_name="T")
    assert user.image.get_metadef_namespace("OS::Sdk").display_name == "T"
    admin.image.create_metadef_property("OS::Sdk", name="bus", title="Bus", type="string")
    assert [one.name for one in user.image.metadef_properties("OS::Sdk")] == ["bus"]
    admin.image.create_metadef_object("OS::Sdk", name="thing")
    assert [one.name for one in user.image.metadef_objects("OS::Sdk")] == ["thing"]
    admin.image.create_metadef_resource_type_association("OS::Sdk", name="OS::Nova::Flavor")
    assert [one.name for one in user.image.metadef_resource_type_associations("OS::Sdk")] == ["OS::Nova::Flavor"]
    assert "OS::Glance::Image" in {one.name for one in user.image.metadef_resource_types()}
    admin.image.delete_metadef_namespace("OS::Sdk")
    assert list(user.image.metadef_namespaces()) == []
