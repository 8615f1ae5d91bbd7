"""What a conversion's process can reach: no secret, no volume, no list of images, and memory and time with an end."""

import os
from pathlib import Path

import pytest

from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.programs import Helpers, Pen, ProgramFailed, ProgramSlow
from tests.cloud import running
from tests.patience import eventually

MIB = 1 << 20


def penned(*words: str, time_limit_s: float = 20, memory_limit_bytes: int = 1 << 30) -> bytes:
    """What a program says that runs as conversions do."""
    pen = Pen(file_limit_bytes=MIB, check=lambda: None)
    limits = {"time_limit_s": time_limit_s, "memory_limit_bytes": memory_limit_bytes}
    return Helpers().run(words, account=Rights.of().sandbox, pen=pen, **limits)  # type: ignore[arg-type]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to give")
def test_it_opens_nothing_of_ours(state_dir: Path) -> None:
    with running(state_dir) as cloud:
        made = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}})
        assert made.status == 202
        id = made.json["volume"]["id"]
        assert eventually(lambda: cloud.call("GET", f"/volume/v3/volumes/{id}").json["volume"]["status"] == "available")
        volume = state_dir / "volumes" / id
        heads = list(volume.iterdir())
        assert heads
        keys = [path for path in (state_dir / "keys").rglob("*") if path.is_file()]
        for path in (*heads, *keys, state_dir / "moorage.db", state_dir / "clouds.yaml", Path("/etc/shadow")):
            with pytest.raises(ProgramFailed, match="Permission denied"):
                penned("cat", str(path))
        for folder in (state_dir, state_dir / "images", state_dir / "volumes", volume, state_dir / "keys"):
            with pytest.raises(ProgramFailed, match="Permission denied"):
                penned("ls", str(folder))


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account to give")
def test_it_is_nobody_and_stays_so() -> None:
    lines = penned("cat", "/proc/self/status").decode().splitlines()
    said = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert said["Uid"] == [str(Rights.of().sandbox.uid)] * 4
    assert (said["Groups"], said["NoNewPrivs"]) == ([], ["1"])
    assert int(said["CapEff"][0], 16) == 0


def test_its_memory_is_limited() -> None:
    hungry = "b = bytearray(300 << 20)"
    assert penned("python3", "-c", hungry) == b""
    with pytest.raises(ProgramFailed, match="MemoryError"):
        penned("python3", "-c", hungry, memory_limit_bytes=200 << 20)


def test_its_time_is_limited() -> None:
    with pytest.raises(ProgramSlow):
        penned("sleep", "600", time_limit_s=1)
    with pytest.raises((ProgramSlow, ProgramFailed)):
        penned("sh", "-c", "while :; do :; done", time_limit_s=1)
