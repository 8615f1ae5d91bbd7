"""Volumes of images that are out of the backend's reach: usable at once, right always, on their own in the end."""

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from moorage.database.errors import DatabaseUnavailable
from moorage.flows.volumes import copy_supply
from moorage.flows.volumes.copy_supply import StoreSupply
from moorage.flows.why import hosts
from moorage.images.records import digests, locations
from moorage.volumes import copies
from moorage.volumes.backend import CHUNK_BYTES, SourceDiffers
from tests.drivers.clients import ClientError, client
from tests.flows.far import DATA, SIZE, SLOWLY, Far, far_away, same
from tests.patience import until

QUICKLY = {"hydration_mib_per_s": 0}


@pytest.fixture
def slowly(state_dir: Path, database_url: str) -> Iterator[Far]:
    with far_away(state_dir, database_url, **SLOWLY) as far:
        yield far


@pytest.fixture
def quickly(state_dir: Path) -> Iterator[Far]:
    with far_away(state_dir, **QUICKLY) as far:
        yield far


def objects(far: Far) -> int:
    return len(far.store.names())


def rows(far: Far) -> int:
    with far.rooms.database.read() as tx:
        return len(tx.all(select(locations)))


def left(far: Far) -> list[Path]:
    return [path for path in (far.rooms.state / "copies").rglob("*") if path.is_file()]


def qcow2(tmp_path: Path, format: str = "qcow2") -> bytes:
    raw, made = tmp_path / "raw", tmp_path / f"made.{format}"
    raw.write_bytes(DATA)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, raw, made], check=True)
    return made.read_bytes()


def test_a_volume_is_usable_before_its_image_has_come(slowly: Far) -> None:
    id = slowly.volume(slowly.image())
    made = slowly.shown(id)["made"]
    assert (made["path"], made["bytes"]) == ("lazy", 0) and "store far" in made["why"]
    with slowly.attached(id) as nbd:
        same(nbd)
    assert set(slowly.store.asked.values()) == {1}


def test_once_it_is_whole_the_source_may_go(quickly: Far) -> None:
    id = quickly.volume(quickly.image())
    until(quickly.whole)
    assert quickly.shown(id)["copy"]["bytes_there"] == SIZE
    quickly.store.down = True
    shutil.rmtree(quickly.rooms.state / "elsewhere")
    with quickly.attached(id) as nbd:
        same(nbd)
    other = quickly.volume(quickly.copies()[0]["image_id"])
    assert quickly.shown(other)["made"]["path"] == "overlay"
    assert set(quickly.store.asked.values()) == {1}


def test_why_says_that_nobody_fetches(slowly: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    id = slowly.volume(slowly.image())
    assert "Nobody looks after" not in slowly.why(id)["sentence"]
    monkeypatch.setattr(hosts, "SILENT_S", -1.0)  # its process was not heard of for longer than that
    assert "Nobody looks after its host" in slowly.why(id)["sentence"]


def test_a_database_that_is_away_keeps_nobody_from_reading(slowly: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    id = slowly.volume(slowly.image())

    def away(*_: object) -> None:
        raise DatabaseUnavailable(why="the test says so")

    with slowly.attached(id) as nbd:
        assert nbd.pread(512, 0) == DATA[:512]
        with monkeypatch.context() as context:
            context.setattr(copy_supply.copies, "of", away)
            assert nbd.pread(512, SIZE - 512) == DATA[SIZE - 512 :]


class Readers:
    """Two clients that read for as long as they are in use, and come again whenever that fails."""

    def __init__(self, far: Far) -> None:
        self._far, self._stop = far, threading.Event()
        self.right = self.failed = 0
        self.wrong: list[int] = []

    def __enter__(self) -> "Readers":
        self._threads = [threading.Thread(target=self._read, args=(seed,)) for seed in (3, 11)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _read(self, seed: int) -> None:
        dice = random.Random(seed)
        while not self._stop.wait(0.05):
            try:
                with self._far.attached_again() as nbd:
                    self._read_by(nbd, dice)
            except ClientError:
                self.failed += 1

    def _read_by(self, nbd: Any, dice: random.Random) -> None:
        while not self._stop.is_set():
            at = dice.randrange(SIZE // 4096) * 4096
            if nbd.pread(4096, at) != DATA[at : at + 4096]:
                self.wrong.append(at)
            self.right += 1


def test_reads_are_right_while_the_store_is_down_slow_or_lies(state_dir: Path, database_url: str) -> None:
    with far_away(state_dir, database_url, **SLOWLY, fault_patience_s=2) as far:
        image = far.image()
        far.store.garbled = True
        id = far.volume(image)
        with far.attached(id), Readers(far) as readers:
            until(lambda: readers.failed > 1 and "not what its digest says" in far.why(id)["sentence"])
            far.store.garbled, far.store.down = False, True
            until(lambda: "the test says so" in far.why(id)["sentence"])
        assert readers.wrong == []
        far.store.down, far.store.slow_s = False, 0.3
        with far.attached(id) as nbd, Readers(far) as readers:
            until(lambda: readers.right > 100 and not far.missing())
            same(nbd)
        assert readers.wrong == [] and len(far.copies()) == 1


def test_what_readers_suffer_is_told_again_after_somebody_has_said_that_all_is_well(quickly: Far) -> None:
    quickly.volume(quickly.image())
    until(quickly.whole)
    (copy,) = quickly.copies()
    supply, problem = StoreSupply(quickly.rooms), SourceDiffers(part=2, copy=copy["layer"])
    for _ in range(2):
        supply.told(copy["layer"], problem)
        assert quickly.copies()[0]["trouble"] == problem.sentence
        with quickly.rooms.database.write() as tx:  # as whoever fills it does
            copies.tell(tx, copy["id"], None)
    supply.told(copy["layer"], problem)
    supply.told(copy["layer"], None)
    assert quickly.copies()[0]["trouble"] is None


def test_the_image_is_deleted_and_the_volume_goes_on(slowly: Far) -> None:
    image = slowly.image()
    id = slowly.volume(image)
    slowly.store.down = True
    slowly.call("DELETE", f"/image/v2/images/{image}")
    time.sleep(0.3)
    assert (objects(slowly), rows(slowly)) == (1, 1)
    slowly.store.down = False
    with slowly.attached(id) as nbd:
        same(nbd)
        until(slowly.whole)
        until(lambda: (objects(slowly), rows(slowly)) == (0, 0))
        same(nbd)


def test_the_last_volume_takes_a_half_filled_copy_and_its_forsaken_source_along(slowly: Far) -> None:
    image = slowly.image()
    one, two = slowly.volume(image), slowly.volume(image)
    until(lambda: len(slowly.missing()) < 3)
    slowly.store.down = True
    assert len(slowly.copies()) == 1
    slowly.call("DELETE", f"/image/v2/images/{image}")
    slowly.delete(one)
    assert len(slowly.copies()) == 1 and objects(slowly) == 1
    slowly.delete(two)
    until(lambda: (objects(slowly), rows(slowly), slowly.copies(), left(slowly)) == (0, 0, [], []))
    asked = sum(slowly.store.asked.values())
    time.sleep(1)
    assert sum(slowly.store.asked.values()) == asked


def test_a_copy_goes_with_its_volumes_and_the_image_stays(quickly: Far) -> None:
    image = quickly.image()
    quickly.delete(quickly.volume(image))
    until(lambda: (quickly.copies(), left(quickly)) == ([], []))
    assert (objects(quickly), rows(quickly)) == (1, 1)
    again = quickly.volume(image)
    with quickly.attached(again) as nbd:
        same(nbd)


def test_qcow2_waits_for_a_store_that_is_down_and_says_so(slowly: Far, tmp_path: Path) -> None:
    image = slowly.image(qcow2(tmp_path), "qcow2")
    slowly.store.down = True
    id = slowly.begin(image)
    until(lambda: "the test says so" in slowly.why(id)["sentence"])
    assert slowly.status(id) == "creating"
    slowly.store.down = False
    until(lambda: slowly.status(id) == "available")
    assert slowly.shown(id)["made"]["path"] == "lazy"
    with slowly.attached(id) as nbd:
        same(nbd)


def test_an_image_without_digests_is_read_first(slowly: Far) -> None:
    image = slowly.image()
    with slowly.rooms.database.write() as tx:
        tx.run(delete(digests).where(digests.c.image_id == image))
    id = slowly.begin(image)
    assert slowly.status(id) == "downloading" and "digests" in slowly.why(id)["sentence"]
    until(lambda: slowly.status(id) == "available")
    made = slowly.shown(id)["made"]
    assert (made["path"], made["bytes"]) == ("downloaded", SIZE) and "hashed first" in made["why"]
    with slowly.attached(id) as nbd:
        same(nbd)
    with slowly.rooms.database.read() as tx:
        assert len(tx.value(select(digests.c.digests).where(digests.c.image_id == image))) == 3 * 32


def test_an_image_without_digests_is_compared_with_its_checksum(quickly: Far) -> None:
    image = quickly.image()
    with quickly.rooms.database.write() as tx:
        tx.run(delete(digests).where(digests.c.image_id == image))
    quickly.store.garbled = True
    id = quickly.begin(image)
    until(lambda: "checksum" in quickly.why(id)["sentence"])
    assert quickly.status(id) == "downloading" and left(quickly) == []
    quickly.store.garbled = False
    until(lambda: quickly.status(id) == "available")
    with quickly.attached(id) as nbd:
        same(nbd)


def test_foreign_formats_are_fetched_and_converted(quickly: Far, tmp_path: Path) -> None:
    id = quickly.volume(quickly.image(qcow2(tmp_path, "vmdk"), "vmdk"))
    assert quickly.shown(id)["made"]["path"] == "converted"
    with quickly.attached(id) as nbd:
        same(nbd)
    until(lambda: (quickly.copies(), left(quickly)) == ([], []))
    assert (objects(quickly), rows(quickly)) == (1, 1)


def test_where_the_backend_can_reach_one_store_nothing_is_copied(quickly: Far) -> None:
    id = quickly.volume(quickly.image(store="files"))
    assert quickly.shown(id)["made"]["path"] == "overlay" and quickly.copies() == []


def test_a_snapshot_in_use_and_a_larger_volume_lie_on_the_same_copy(slowly: Far) -> None:
    id = slowly.volume(slowly.image())
    with slowly.attached(id) as nbd:
        nbd.pwrite(b"mine" * 128, CHUNK_BYTES)
        nbd.flush()
        clone = slowly.call("POST", "/volume/v3/volumes", {"volume": {"source_volid": id, "size": 2}})["volume"]["id"]
        until(lambda: slowly.status(clone) == "available")
        assert nbd.pread(1024, CHUNK_BYTES) == b"mine" * 128 + DATA[CHUNK_BYTES + 512 : CHUNK_BYTES + 1024]
    with slowly.attached(clone) as nbd:
        assert nbd.pread(1024, CHUNK_BYTES) == b"mine" * 128 + DATA[CHUNK_BYTES + 512 : CHUNK_BYTES + 1024]
        assert nbd.pread(512, 0) == DATA[:512]
    slowly.call("POST", f"/volume/v3/volumes/{id}/action", {"os-extend": {"new_size": 3}})
    until(lambda: slowly.status(id) == "available")
    with slowly.attached(id) as nbd:
        assert nbd.pread(512, 2 * CHUNK_BYTES) == DATA[2 * CHUNK_BYTES : 2 * CHUNK_BYTES + 512]


def test_a_control_plane_that_comes_back_goes_on(state_dir: Path) -> None:
    with far_away(state_dir, **SLOWLY) as far:
        id = far.volume(far.image())
        _, door = far.door(id)
        with client(door) as nbd:
            assert nbd.pread(512, 0) == DATA[:512]
        far.cloud.app.stop()
        with client(door) as nbd, far_away(state_dir, **QUICKLY) as again:
            same(nbd)
            until(again.whole)
            again.store.down = True
            same(nbd)
            assert again.status(id) == "in-use"


def test_an_image_of_a_lazy_volume_waits_for_its_bytes(slowly: Far, tmp_path: Path) -> None:
    id = slowly.volume(slowly.image())
    with slowly.attached(id) as nbd:
        nbd.pwrite(b"mine" * 128, CHUNK_BYTES)
    asked = {"os-volume_upload_image": {"image_name": "j", "disk_format": "qcow2"}}
    made = slowly.call("POST", f"/volume/v3/volumes/{id}/action", asked)["os-volume_upload_image"]["image_id"]
    until(lambda: slowly.call("GET", f"/image/v2/images/{made}")["status"] == "active", 60)
    assert slowly.whole()
    (tmp_path / "got").write_bytes(slowly.cloud.call("GET", f"/image/v2/images/{made}/file").body)
    words = ("-f", "qcow2", "-O", "raw", tmp_path / "got", tmp_path / "raw")
    subprocess.run(["qemu-img", "convert", *words], check=True)
    with (tmp_path / "raw").open("rb") as file:
        assert file.read(SIZE) == DATA[:CHUNK_BYTES] + b"mine" * 128 + DATA[CHUNK_BYTES + 512 :]


def test_an_image_of_a_volume_on_a_whole_copy_is_there_at_once_and_keeps_it(quickly: Far) -> None:
    id = quickly.volume(quickly.image())
    until(quickly.whole)
    asked = {"os-volume_upload_image": {"image_name": "j", "disk_format": "raw"}}
    at = {"moorage-store": "files"}
    made = quickly.call("POST", f"/volume/v3/volumes/{id}/action", asked, headers=at)["os-volume_upload_image"][
        "image_id"
    ]
    until(lambda: quickly.call("GET", f"/image/v2/images/{made}")["status"] == "active")
    quickly.delete(id)
    part = quickly.cloud.call("GET", f"/image/v2/images/{made}/file", headers={"range": f"bytes=0-{SIZE - 1}"})
    assert part.body[:SIZE] == DATA and len(quickly.copies()) == 1
    quickly.call("DELETE", f"/image/v2/images/{made}")
    until(lambda: (quickly.copies(), left(quickly)) == ([], []))


@pytest.mark.parametrize("store", ["far", "files"])
def test_two_hundred_at_once(state_dir: Path, store: str) -> None:
    with far_away(state_dir, **QUICKLY, quota_volumes=-1) as far:
        image = far.image(store=store)
        with ThreadPoolExecutor(40) as many:
            ids = list(many.map(lambda _: far.begin(image), range(200)))
        until(lambda: all(far.status(id) != "creating" for id in ids), 120)
        assert {far.status(id) for id in ids} == {"available"}
        assert len(far.copies()) == (store == "far") and set(far.store.asked.values()) <= {1}
