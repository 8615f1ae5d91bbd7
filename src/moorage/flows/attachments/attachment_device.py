"""The block device of an attachment whose holder is this host: made behind its open door, removed before it closes."""

import logging
from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Conflict, Unavailable
from moorage.flows.rooms import Rooms
from moorage.hosts.devices import DevicesUnavailable
from moorage.volumes.attachments import doors

log = logging.getLogger(__name__)


class DeviceElsewhere(Conflict):
    """Volume {volume} is served on host {host}; it cannot be a block device of {asked}."""

    code = "device.elsewhere"


def give(rooms: Rooms, claim: Mapping[str, Any], uri: str) -> dict[str, str]:
    """What is added to the connection: the path of the device, where the holder gets one."""
    if not doors.makes_device(claim):
        return {}
    if claim["host"] != rooms.host:
        raise DeviceElsewhere(volume=claim["volume_id"], host=rooms.host, asked=claim["host"])
    if rooms.devices is None:
        raise DevicesUnavailable(why="its process makes none")
    return {"device_path": rooms.devices.connect(claim["id"], uri, read_only=claim["mode"] == "ro").path}


def take(rooms: Rooms, claim: Mapping[str, Any] | None) -> None:
    """
    Leave nothing of the device, also of one that an earlier generation had before it was taken over by another door.
    What was written to it is durable, unless that takes longer than a few seconds.
    """
    if claim is None or rooms.devices is None or not (doors.makes_device(claim) or claim["generation"] > 1):
        return
    try:
        rooms.devices.flush(claim["id"])
    except Unavailable as problem:
        log.warning("%s", problem.sentence)
    rooms.devices.disconnect(claim["id"])
