"""A real Debian root file system as a qcow2 image, built from Debian's packages and kept between runs."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

SUITE = "bookworm"
ROOM_MIB = 1536  #: size of the file system
SOURCES = ("/etc/apt/sources.list", *sorted(str(path) for path in Path("/etc/apt/sources.list.d").glob("*")))


def cache() -> Path:
    """Where it is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "moorage"


def debian() -> Path:
    """The image; built if it is not there yet (about a minute)."""
    image = cache() / f"debian-{SUITE}.qcow2"
    if not image.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache()) as folder:
            _build(Path(folder), image)
    return image


def mirror() -> str:
    """Where this machine gets Debian's packages from."""
    for source in filter(os.path.isfile, SOURCES):
        for line in Path(source).read_text(errors="replace").splitlines():
            found = re.match(r"\s*(?:deb\s+(?:\[[^]]*]\s*)?|URIs:\s*)((?:https?|file|mirror\+file):\S+)", line)
            if found and "security" not in found[1]:
                return found[1]
    raise SystemExit("no Debian mirror is configured on this machine")


def _build(folder: Path, image: Path) -> None:
    root, raw, done = folder / "root", folder / "raw", folder / "done"
    subprocess.run(["debootstrap", "--variant=minbase", SUITE, root, mirror()], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
    with raw.open("wb") as file:
        file.truncate(ROOM_MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-L", "debian", "-d", root, raw], check=True)
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, done], check=True)
    os.replace(done, image)
