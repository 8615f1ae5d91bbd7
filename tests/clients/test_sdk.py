"""openstacksdk's calls of attachments, with ids and without."""

from collections.abc import Callable

import pytest
from openstack.connection import Connection
from openstack.exceptions import BadRequestException, ConflictException, NotFoundException

from tests.clients.conftest import HERE
from tests.drivers.loops import write

SERVER = "11111111-1111-4111-8111-111111111111"
NBD = {"host": "h1", "nbd": True}


def test_the_calls_with_ids(connect: Callable[[str], Connection]) -> None:
    storage = connect("moorage").block_storage
    volume = storage.create_volume(size=1, name="sdk")
    storage.wait_for_status(volume, "available", interval=0.05)
    made = storage.create_attachment(volume.id, instance=SERVER, connector=None, mode="rw")
    assert (made.status, made.instance, made.volume_id, made.attach_mode) == ("reserved", SERVER, volume.id, "rw")
    with pytest.raises(BadRequestException, match="offers nbd"):
        storage.update_attachment(made, connector={"host": HERE})
    updated = storage.update_attachment(made, connector=NBD)
    assert updated.status == "attaching" and updated.connection_info["driver_volume_type"] == "nbd"
    assert updated.connection_info["uri"].startswith("nbds://") and updated.connection_info["tls_psk"]
    storage.complete_attachment(made)
    assert storage.get_attachment(made).status == "attached" and updated.attached_at
    assert [one.id for one in storage.attachments(details=True, volume_id=volume.id)] == [made.id]
    assert storage.get_volume(volume).attachments[0]["attachment_id"] == made.id
    with pytest.raises(ConflictException, match="using the Compute API"):
        storage.delete_attachment(made)
    connect("moorage-admin").block_storage.delete_attachment(made.id)
    with pytest.raises(NotFoundException):
        storage.get_attachment(made.id)
    storage.delete_volume(volume)
    storage.wait_for_delete(volume, interval=0.05)


@pytest.mark.root
def test_the_calls_without(admin: Connection, volume: str) -> None:
    storage = admin.block_storage
    storage.reserve_volume(volume)
    assert storage.get_volume(volume).status == "attaching"
    storage.unreserve_volume(volume)
    info = storage.init_volume_attachment(volume, {"host": HERE, "ip": "127.0.0.1"})
    write(info["data"]["device_path"], b"s")
    storage.attach_volume(volume, "/dev/vdb", instance=SERVER)
    storage.begin_volume_detaching(volume)
    storage.abort_volume_detaching(volume)
    storage.begin_volume_detaching(volume)
    storage.terminate_volume_attachment(volume, {"host": HERE, "ip": "127.0.0.1"})
    (attached,) = storage.get_volume(volume).attachments
    storage.detach_volume(volume, attached["attachment_id"])
    assert storage.get_volume(volume).status == "available"
    storage.attach_volume(volume, "/mnt", host_name="h1")
    (attached,) = storage.get_volume(volume).attachments
    storage.detach_volume(volume, attached["attachment_id"], force=True, connector={"host": "h1"})
    assert storage.get_volume(volume).status == "available"
