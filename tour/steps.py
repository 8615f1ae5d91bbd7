"""The stations of the tour, in order."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tour.moorage import Moorage
from tour.shell import Failed, Shell, eventually, insist, say


def tidy(moorage: Moorage) -> None:
    """Take away what an earlier tour, killed half-way, left in this state directory."""
    admin = moorage.user("moorage-admin")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, where = line.split()[:2]
        if device in moorage.devices():
            admin.run("umount", where)
    for volume in admin.json("openstack", "volume", "list", "--all-projects"):
        for attachment in attachments(admin, volume["ID"]):
            admin.run("moorage", "detach", "--force", attachment)
        admin.run("openstack", "volume", "delete", volume["ID"])
    eventually("the old volumes are gone", lambda: not admin.json("openstack", "volume", "list", "--all-projects"))
    for image in admin.json("openstack", "image", "list"):
        admin.run("openstack", "image", "delete", image["ID"])
    for kind, names in (("user", ("visitor",)), ("volume type", ("shared",))):
        there = {row["Name"] for row in admin.json("openstack", *kind.split(), "list")}
        for name in there & set(names):
            admin.run("openstack", *kind.split(), "delete", name)


def attachments(shell: Shell, volume: str) -> list[str]:
    """The ids of a volume's attachments, complete or not."""
    rows = shell.json(
        "openstack", "--os-volume-api-version", "3.54", "volume", "attachment", "list", "--volume-id", volume
    )
    return [row["ID"] for row in rows]


def look_around(moorage: Moorage) -> None:
    """Catalog, projects, users."""
    admin = moorage.user("moorage-admin")
    say("Who is there, and where is what?")
    admin.run("openstack", "catalog", "list")
    admin.run("openstack", "project", "list")
    admin.run("openstack", "user", "create", "--project", "demo", "--password", "a-visitor", "visitor")
    admin.run("openstack", "role", "add", "--user", "visitor", "--project", "demo", "member")
    insist("the new user is listed", "visitor" in admin.run("openstack", "user", "list", "--project", "demo"))


def bring_an_image(moorage: Moorage, image: Path) -> None:
    """Upload a real Debian."""
    user = moorage.user()
    say(f"A Debian image of {image.stat().st_size >> 20} MiB is uploaded")
    user.run(
        "openstack",
        "image",
        "create",
        "--disk-format",
        "qcow2",
        "--container-format",
        "bare",
        "--file",
        image,
        "debian",
    )
    insist("it is active", user.json("openstack", "image", "show", "debian")["status"] == "active")


def make_a_volume(moorage: Moorage, name: str, *options: str) -> None:
    """A volume from the image."""
    user = moorage.user()
    began = time.monotonic()
    user.run("openstack", "volume", "create", "--size", "2", "--image", "debian", *options, name)
    eventually(f"{name} is available", lambda: user.json("openstack", "volume", "show", name)["status"] == "available")
    print(f"   available {time.monotonic() - began:.1f} s after the command began, most of it the client's start")


@contextmanager
def mounted(device: str, *options: str) -> Iterator[Path]:
    """A file system, mounted for as long as it is looked at."""
    where = Path(tempfile.mkdtemp(prefix="tour-mount-"))
    shell = Shell()
    shell.run("mount", *options, device, where)
    try:
        yield where
    finally:
        shell.run("umount", where)
        where.rmdir()


def attach(shell: Shell, volume: str, *options: str) -> str:
    """`moorage attach`; the device."""
    printed = shell.run("moorage", "attach", volume, *options)
    device = re.search(r"/dev/\S+", printed)
    if device is None:
        raise Failed("FAILED: no device was printed")
    return device[0]


def use_it(moorage: Moorage) -> None:
    """Attach, mount, read, write, detach; and find the file again."""
    user = moorage.user()
    say("The volume is attached to this host, mounted, read and written")
    device = attach(user, "root")
    with mounted(device) as where:
        print((where / "etc/os-release").read_text())
        insist("it is Debian", "Debian" in (where / "etc/os-release").read_text())
        (where / "visited").write_text("here I was\n")
    user.run("moorage", "detach", "root")
    insist("no device is left", not moorage.devices())
    insist("it is available again", user.json("openstack", "volume", "show", "root")["status"] == "available")
    device = attach(user, "root")
    with mounted(device, "-o", "ro,noload") as where:
        insist("the file is still there", (where / "visited").read_text() == "here I was\n")
    user.run("moorage", "detach", "root")


def share_it(moorage: Moorage) -> None:
    """Two attachments at once, one that may write and one that may not."""
    admin, user = moorage.user("moorage-admin"), moorage.user()
    say("A volume of a multi-attach type, attached twice at once: read-write and read-only")
    admin.run("openstack", "volume", "type", "create", "--property", "multiattach=<is> True", "shared")
    make_a_volume(moorage, "pair", "--type", "shared")
    writer, reader = attach(user, "pair", "--mode", "rw"), attach(user, "pair", "--mode", "ro")
    insist("each has its own device", writer != reader)
    insist("the read-only one refuses writes", not can_write(reader))
    insist("the other one takes them", can_write(writer))
    direct = subprocess.run(
        ["dd", f"if={reader}", "bs=4096", "count=1", "skip=1000", "iflag=direct"], capture_output=True, check=True
    ).stdout
    insist("the reader sees what was written", direct == PATTERN)


PATTERN = bytes(range(256)) * 16


def can_write(device: str) -> bool:
    """Whether 4 KiB can be written past the page cache."""
    command = ["dd", f"of={device}", "bs=4096", "count=1", "seek=1000", "oflag=direct", "conv=notrunc,fsync"]
    return subprocess.run(command, input=PATTERN, capture_output=True, check=False).returncode == 0


def survive(moorage: Moorage) -> None:
    """Kill the control plane in the middle of I/O."""
    user = moorage.user()
    say("Moorage is killed (SIGKILL) in the middle of I/O")
    writer = next(d for d in moorage.devices() if Path(f"/sys/block/{d[5:]}/ro").read_text().strip() == "0")
    command = [
        "dd",
        "if=/dev/zero",
        f"of={writer}",
        "bs=1M",
        "count=256",
        "seek=1600",
        "oflag=direct",
        "conv=notrunc,fsync",
        "status=none",
    ]
    before = sectors(writer)
    io = subprocess.Popen(command)
    eventually("I/O has begun", lambda: sectors(writer) > before)
    moorage.kill()
    at_kill = sectors(writer)
    insist("I/O ends well without Moorage", io.wait() == 0)
    print(f"   {(sectors(writer) - at_kill) // 2048} MiB were written while it was dead")
    moorage.up()
    shown = user.json("openstack", "volume", "show", "pair")
    insist("it comes back knowing that the volume is in use", shown["status"] == "in-use")
    insist("and by whom", len(shown["attachments"]) == 2)
    insist("the data plane went on all the time", can_write(writer))


def sectors(device: str) -> int:
    """Sectors of 512 bytes written to a device so far."""
    return int(Path(f"/sys/block/{os.path.basename(device)}/stat").read_text().split()[6])


def leave_nothing(moorage: Moorage) -> None:
    """Clean up, and show that nothing is left."""
    admin, user = moorage.user("moorage-admin"), moorage.user()
    say("Cleaning up; nothing may be left")
    for attachment in attachments(user, user.json("openstack", "volume", "show", "pair")["id"]):
        user.run("moorage", "detach", attachment)
    user.run("openstack", "volume", "delete", "root", "pair")
    eventually("the volumes are gone", lambda: not user.json("openstack", "volume", "list"))
    user.run("openstack", "image", "delete", "debian")
    admin.run("openstack", "volume", "type", "delete", "shared")
    admin.run("openstack", "user", "delete", "visitor")
    admin.run("moorage", "doctor")
    insist("no device is left", not moorage.devices())
    insist("no file is left", not moorage.files())
    daemons = [line for line in moorage.processes().values() if "moorage up" not in line]
    insist(
        "no export, gate or daemon is left",
        not [line for line in daemons if "--blockdev" in line or "nbdkit" in line or "nbdfuse" in line],
    )
    moorage.down()
    insist("no process is left", not moorage.processes())
