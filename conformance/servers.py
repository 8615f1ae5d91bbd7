"""
python -m conformance.servers STATE: what servers do to their volumes, asked of a real Nova whose disks Moorage keeps.

Nova's hypervisor only pretends, but its connectors name this host and Nova is a service, so each attachment is a block
device here: bytes are written and read through them. After each scene there is no server, volume, attachment, device or
open operation left.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openstack
from openstack.exceptions import BadRequestException, ConflictException

from conformance.left import what_is_left
from tour.shell import Failed, eventually, insist, say

CROWD = 10
PATIENCE_S = 180.0


class Stage:
    """A user of the cloud with an image; and who looks at it aside, past the recorder, with the state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.user, self.admin = openstack.connect(cloud="user"), openstack.connect(cloud="aside")
        self.image = self.user.image.create_image(
            name="disk", disk_format="raw", container_format="bare", data=os.urandom(1 << 20), validate_checksum=False
        )

    def volume(self, **asked: Any) -> str:
        """An available volume of 1 GiB."""
        made = self.user.block_storage.create_volume(size=1, **asked)
        self.waits(made.id, "available")
        return str(made.id)

    def server(self, name: str, disks: Sequence[dict[str, Any]] = (), *, wait: bool = True) -> str:
        """A server: from the image, or from the volumes in `disks`."""
        flavor = self.user.compute.find_flavor("m1.vol" if disks else "m1.tiny")
        what = {"block_device_mapping": list(disks)} if disks else {"image_id": self.image.id}
        made = self.user.compute.create_server(name=name, flavor_id=flavor.id, networks="none", **what)
        if wait:
            self.becomes(made.id, "ACTIVE")
        return str(made.id)

    def becomes(self, server: str, status: str) -> None:
        """The server has that status, and nothing is going on with it."""
        eventually(f"server {server} is {status}", lambda: self._is(server, status), PATIENCE_S)

    def _is(self, server: str, status: str) -> bool:
        shown = self.user.compute.get_server(server)
        if shown.status == "ERROR" != status:
            raise Failed(f"FAILED: server {server}: {shown.fault}")
        return bool(shown.status == status and shown.task_state is None)

    def waits(self, volume: str, status: str) -> None:
        """The volume has that status."""
        eventually(f"volume {volume} is {status}", lambda: self.status(volume) == status, PATIENCE_S)

    def status(self, volume: str) -> str:
        """The volume's status; "gone" when there is none."""
        found = self.user.block_storage.find_volume(volume)
        return str(found.status) if found else "gone"

    def attach(self, server: str, volume: str, **asked: Any) -> None:
        """The server has the volume."""
        self.user.compute.create_volume_attachment(server, volume=volume, **asked)
        eventually(f"server {server} has {volume}", lambda: server in self.holders(volume), PATIENCE_S)

    def detach(self, server: str, volume: str) -> None:
        """The server does not have the volume any more, and Nova knows it."""
        self.user.compute.delete_volume_attachment(server, volume)
        eventually("Nova has forgotten it", lambda: volume not in self.disks(server), PATIENCE_S)

    def disks(self, server: str) -> list[str]:
        """The volumes that Nova lists for the server."""
        return [row.volume_id for row in self.user.compute.volume_attachments(server)]

    def holders(self, volume: str) -> list[str]:
        """The servers that the volume lists."""
        return sorted(row["server_id"] for row in self.user.block_storage.get_volume(volume).attachments)

    def attachments(self, volume: str) -> list[Any]:
        """The volume's attachments in full, as an administrator sees them."""
        every = self.admin.block_storage.attachments(all_projects=True, volume_id=volume)
        return [self.admin.block_storage.get_attachment(row.id) for row in every]

    def device(self, volume: str, server: str) -> Path:
        """The block device on this host through which the server has the volume."""
        infos = [row.connection_info for row in self.attachments(volume) if row.instance == server]
        insist(
            "the server has it by a device of its own",
            len(infos) == 1 and infos[0].get("driver_volume_type") == "local",
        )
        path = Path(infos[0]["device_path"])
        insist(f"which is a block device ({path})", path.is_block_device())
        return path

    def gone(self, *servers: str) -> None:
        """The servers are deleted, all at once."""
        with ThreadPoolExecutor(len(servers)) as threads:
            list(threads.map(self.user.compute.delete_server, servers))
        names = set(servers)
        eventually("the servers are gone", lambda: not names & {s.id for s in self.user.compute.servers()}, PATIENCE_S)

    def delete(self, *volumes: str) -> None:
        """The volumes are deleted."""
        for volume in volumes:
            self.user.block_storage.delete_volume(volume)
        for volume in volumes:
            self.waits(volume, "gone")


def disk(source: str, id: str | None = None, **more: Any) -> dict[str, Any]:
    """A disk of a server on a volume made of `source`."""
    named = {"uuid": id} if id else {"volume_size": 1}
    return {"boot_index": -1, "source_type": source, "destination_type": "volume", **named, **more}


def refused(what: str, call: Callable[[], Any]) -> None:
    """The call is answered with 400 or 409."""
    try:
        call()
    except (BadRequestException, ConflictException) as problem:
        print(f"   refused: {what}: {problem}", flush=True)
        return
    raise Failed(f"FAILED: {what} was not refused")


def put(device: Path, data: bytes) -> None:
    """Write `data`, padded to a block, past the page cache."""
    with open(device, "r+b", buffering=0) as file:
        file.write(data.ljust(4096, b"."))
        os.fsync(file.fileno())


def got(device: Path, length: int) -> bytes:
    """The first `length` bytes on the device now, not those in the page cache."""
    with open(device, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read(4096)[:length]


def boots_from_an_image(stage: Stage) -> None:
    root = disk("image", stage.image.id, boot_index=0, volume_size=1, delete_on_termination=True)
    blank = disk("blank", delete_on_termination=True)
    server = stage.server("new-volumes", [root, blank])
    volumes = stage.disks(server)
    insist("it has a root disk and a blank one", len(volumes) == 2)
    shown = {v: stage.user.block_storage.get_volume(v) for v in volumes}
    insist("one of them is bootable", sorted(v.is_bootable for v in shown.values()) == [False, True])
    boot = next(id for id, v in shown.items() if v.is_bootable)
    insist("whose bytes are the image's", _starts_like(stage, stage.device(boot, server)))
    stage.gone(server)
    for volume in volumes:
        stage.waits(volume, "gone")


def _starts_like(stage: Stage, device: Path) -> bool:
    return bytes(stage.user.image.download_image(stage.image.id).content[:4096]) == got(device, 4096)


def boots_from_a_volume(stage: Stage) -> None:
    boot, data = stage.volume(image_id=stage.image.id), stage.volume()
    server = stage.server(
        "own-volume", [disk("volume", boot, boot_index=0), disk("volume", data, delete_on_termination=True)]
    )
    insist("both are in use", stage.status(boot) == stage.status(data) == "in-use")
    refused("to delete a volume in use", lambda: stage.user.block_storage.delete_volume(boot))
    stage.gone(server)
    stage.waits(boot, "available")
    stage.waits(data, "gone")
    stage.delete(boot)


def attaches_and_detaches(stage: Stage) -> None:
    one, other, volume = stage.server("one"), stage.server("other"), stage.volume()
    stage.attach(one, volume)
    put(stage.device(volume, one), b"from one")
    refused("the volume for a second server", lambda: stage.attach(other, volume))
    stage.detach(one, volume)
    stage.waits(volume, "available")
    stage.attach(other, volume, delete_on_termination=True)
    insist("what one wrote the other reads", got(stage.device(volume, other), 8) == b"from one")
    stage.gone(one, other)
    stage.waits(volume, "gone")


def two_share_a_volume(stage: Stage) -> None:
    one, other, volume = stage.server("one"), stage.server("other"), stage.volume(volume_type="multiattach")
    stage.attach(one, volume)
    stage.attach(other, volume)
    insist("both hold it", stage.holders(volume) == sorted((one, other)))
    ours, theirs = stage.device(volume, one), stage.device(volume, other)
    insist("each by another device", ours != theirs)
    put(ours, b"shared")
    insist("what one wrote the other reads", got(theirs, 6) == b"shared")
    stage.detach(other, volume)
    insist("the first still holds it", stage.status(volume) == "in-use" and stage.holders(volume) == [one])
    insist("by the same device", stage.device(volume, one) == ours and got(ours, 6) == b"shared")
    stage.gone(one, other)
    stage.waits(volume, "available")
    stage.delete(volume)


def resizes(stage: Stage) -> None:
    volume, server, compute = stage.volume(), stage.server("grows"), stage.user.compute
    stage.attach(server, volume)
    put(stage.device(volume, server), b"before")
    for end in (compute.confirm_server_resize, compute.revert_server_resize):
        flavor = compute.get_server(server).flavor.original_name
        compute.resize_server(server, compute.find_flavor("m1.small" if flavor == "m1.tiny" else "m1.tiny").id)
        stage.becomes(server, "VERIFY_RESIZE")
        insist("it has its volume at the new place", stage.holders(volume) == [server])
        end(server)
        stage.becomes(server, "ACTIVE")
        insist("one attachment is left", [row.status for row in stage.attachments(volume)] == ["attached"])
        insist("and the bytes are there", got(stage.device(volume, server), 6) == b"before")
    stage.gone(server)
    stage.waits(volume, "available")
    stage.delete(volume)


def is_put_away(stage: Stage) -> None:
    boot, data = stage.volume(image_id=stage.image.id), stage.volume()
    server = stage.server("shelved", [disk("volume", boot, boot_index=0), disk("volume", data)])
    put(stage.device(data, server), b"kept")
    stage.user.compute.shelve_server(server)
    stage.becomes(server, "SHELVED_OFFLOADED")
    insist("its volumes are reserved for it", {stage.status(boot), stage.status(data)} == {"reserved"})
    insist("without any device", not any(row.connection_info for v in (boot, data) for row in stage.attachments(v)))
    refused("to delete one of them", lambda: stage.user.block_storage.delete_volume(data))
    stage.user.compute.unshelve_server(server)
    stage.becomes(server, "ACTIVE")
    insist("its volumes are in use again", {stage.status(boot), stage.status(data)} == {"in-use"})
    insist("with their bytes", got(stage.device(data, server), 4) == b"kept")
    stage.gone(server)
    stage.waits(boot, "available")
    stage.waits(data, "available")
    stage.delete(boot, data)


def stops_and_starts(stage: Stage) -> None:
    boot, compute = stage.volume(image_id=stage.image.id), stage.user.compute
    server = stage.server("restarts", [disk("volume", boot, boot_index=0, delete_on_termination=True)])
    device = stage.device(boot, server)
    compute.stop_server(server)
    stage.becomes(server, "SHUTOFF")
    compute.start_server(server)
    stage.becomes(server, "ACTIVE")
    compute.reboot_server(server, "HARD")
    stage.becomes(server, "ACTIVE")
    insist("it still has its volume by the same device", stage.device(boot, server) == device)
    stage.gone(server)
    stage.waits(boot, "gone")


def a_crowd_shares_a_volume(stage: Stage) -> None:
    volume = stage.volume(volume_type="multiattach")
    servers = [stage.server(f"crowd-{n}", wait=False) for n in range(CROWD)]
    for server in servers:
        stage.becomes(server, "ACTIVE")
    with ThreadPoolExecutor(CROWD) as threads:
        list(threads.map(lambda server: stage.attach(server, volume), servers))
    insist(f"all {CROWD} hold it", stage.holders(volume) == sorted(servers))
    infos = [row.connection_info for row in stage.attachments(volume)]
    insist("each by a device of its own", len({info["device_path"] for info in infos}) == CROWD)
    stage.gone(*servers)
    stage.waits(volume, "available")
    insist("nobody holds it", not stage.attachments(volume))
    stage.delete(volume)


SCENES: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("A server boots from a new volume made of an image, with a blank one beside it", boots_from_an_image),
    ("A server boots from a volume that was there, with a data volume that ends with it", boots_from_a_volume),
    ("A volume goes from one server to another", attaches_and_detaches),
    ("Two servers share a volume", two_share_a_volume),
    ("A server with a volume is resized, confirmed, resized again, reverted", resizes),
    ("A server is shelved and comes back", is_put_away),
    ("A server stops, starts and is rebooted", stops_and_starts),
    (f"{CROWD} servers share a volume and are deleted at once", a_crowd_shares_a_volume),
)


def play(stage: Stage, asked: Iterable[str]) -> list[str]:
    """Play the scenes whose functions are named in `asked`, or all; those that failed."""
    failed, names = [], set(asked)
    for title, scene in SCENES:
        if names and scene.__name__ not in names:
            continue
        say(title)
        try:
            scene(stage)
            eventually("nothing is left of it", lambda: not what_is_left(stage.admin, stage.state), 30)
            print("   nothing is left of it: yes", flush=True)
        except (Failed, Exception):
            traceback.print_exc(file=sys.stdout)
            print("\n".join(what_is_left(stage.admin, stage.state)), flush=True)
            failed.append(title)
    return failed


def main() -> None:
    """Play."""
    stage = Stage(Path(sys.argv[1]))
    failed = play(stage, sys.argv[2:])
    stage.user.image.delete_image(stage.image.id)
    if failed:
        sys.exit("FAILED: " + "; ".join(failed))
    print("\nAll scenes held.")


if __name__ == "__main__":
    main()
