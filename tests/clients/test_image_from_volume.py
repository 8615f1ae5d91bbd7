"""Volumes become images with unmodified clients: openstack, cinder and openstacksdk."""

import json
from typing import Any

from cinderclient import shell as cinder
from openstack.connection import Connection
from openstackclient import shell as openstack

from tests.cli.host import Host
from tests.clients.conftest import account, said

GIB = 1 << 30


def shown(connection: Connection, id: str) -> Any:
    image = connection.image.get_image(id)
    assert (image.status, image.size) == ("active", GIB)
    return image


def test_openstack_image_create_volume(connect: Any, admin: Connection, volume: str) -> None:
    words = ["--os-cloud", "moorage-admin", "--os-volume-api-version", "3.71", "image"]
    made = said(openstack.main, [*words, "create", "--volume", volume, "from a volume", "-f", "json"])
    told = json.loads(made)
    assert (told["status"], told["disk_format"], told["image_name"]) == ("uploading", "raw", "from a volume")
    image = shown(admin, told["image_id"])
    assert (image.name, image.visibility, image.min_disk) == ("from a volume", "private", 1)
    assert json.loads(said(openstack.main, [*words, "show", image.id, "-f", "json"]))["status"] == "active"
    said(openstack.main, [*words, "delete", image.id])


def test_cinder_upload_to_image(host: Host, admin: Connection, volume: str) -> None:
    auth = account(host)
    words = ["--os-volume-api-version", "3.71"]
    for name in ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name"):
        words += [f"--os-{name.replace('_', '-')}", auth.get(name, "Default")]
    asked = ["upload-to-image", "--disk-format", "qcow2", "--container-format", "bare", volume, "copied"]
    said(lambda argv: cinder.OpenStackCinderShell().main(argv), [*words, *asked])
    admin.block_storage.wait_for_status(admin.block_storage.get_volume(volume), "available", interval=0.1)
    (image,) = admin.image.images(name="copied")
    assert (image.status, image.disk_format, image.virtual_size) == ("active", "qcow2", GIB)
    assert image.checksum and image.hash_value
    admin.image.delete_image(image.id)


def test_the_sdk(admin: Connection, volume: str) -> None:
    answer = admin.block_storage.upload_volume_to_image(volume, "by the SDK", visibility="shared", protected=False)
    image = shown(admin, answer["image_id"])
    assert (image.visibility, image.is_protected) == ("shared", False)
    admin.image.delete_image(image.id)
    made = admin.create_image("by another way", volume=volume, disk_format="raw", container_format="bare")
    assert shown(admin, made.id).name == "by another way"
    admin.image.delete_image(made.id)
