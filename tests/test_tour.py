"""The tour in a shorter form: every station, on a small file system instead of a whole Debian."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.root
@pytest.mark.timeout(600)
def test_a_new_user_gets_from_an_image_to_a_mounted_volume_and_leaves_nothing(state_dir: Path, tmp_path: Path) -> None:
    image = small_image(tmp_path)
    command = [sys.executable, "-m", "tour", "--state", str(state_dir), "--image", str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    assert "everything held" in done.stdout


def small_image(folder: Path) -> Path:
    """A qcow2 image of an ext4 file system with nothing but /etc/os-release in it."""
    root, raw, image = folder / "root", folder / "raw", folder / "small.qcow2"
    (root / "etc").mkdir(parents=True)
    shutil.copy("/etc/os-release", root / "etc/os-release")
    with raw.open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-d", root, raw], check=True)
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    return image
