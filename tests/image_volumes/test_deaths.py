"""Processes that die with images in volumes half-written or half-read leave neither volumes nor attachments."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.cloud import Cloud
from tests.conftest import state_directory
from tests.image_volumes import dying, scene
from tests.image_volumes.scene import MIB, file_of, image, image_volume, random_bytes
from tests.patience import until

QUESTIONS = 14  #: more than an upload asks
DATA = b"".join(bytes([n]) * 700_001 for n in range(5))


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with state_directory() as state, scene.image_cloud(state) as cloud:
        yield cloud


def attachments(cloud: Cloud, volume: str) -> list[str]:
    found = cloud.call(
        "GET",
        f"/volume/v3/attachments?all_tenants=1&volume_id={volume}",
        as_="moorage-admin",
        headers={"openstack-api-version": "volume 3.54"},
    )
    return [row["id"] for row in found.json["attachments"]]


@pytest.mark.parametrize("answers", [2, 4, 6, 9, 11, QUESTIONS])
def test_an_upload_killed_after_any_answer_of_block_storage_leaves_nothing(cloud: Cloud, answers: int) -> None:
    id = scene.new_image(cloud)
    process = dying.start("upload", cloud.app.config.state, id, answers)
    said, _ = process.communicate(timeout=60)
    shown = lambda: cloud.call("GET", f"/image/v2/images/{id}").json  # noqa: E731
    until(lambda: shown()["status"] in ("queued", "active"))
    if shown()["status"] == "active":
        assert hashlib.md5(file_of(cloud, id)).hexdigest() == hashlib.md5(DATA).hexdigest() == shown()["checksum"]
    else:
        assert process.returncode == -9 and not said
        until(lambda: not image_volume(cloud, id))
        assert not [name for name in scene.store(cloud).names() if f"/{id}/" in name]


@pytest.mark.parametrize("answers", [1, 2, 3, 4, 5, 7, 9, QUESTIONS])
def test_a_volume_that_becomes_an_image_killed_after_any_answer_leaves_one_image_or_nothing(
    cloud: Cloud, answers: int
) -> None:
    killed_while_a_volume_becomes_an_image(cloud, answers)


def test_so_it_is_on_postgresql(state_dir: Path, postgres_server: postgres.Server) -> None:
    with postgres_server.database() as url, scene.image_cloud(state_dir, url) as cloud:
        for answers in (2, 4, 7):
            killed_while_a_volume_becomes_an_image(cloud, answers)


def killed_while_a_volume_becomes_an_image(cloud: Cloud, answers: int) -> None:
    source = scene.volume(cloud, image(cloud, DATA))
    process = dying.start("take", cloud.app.config.state, source, answers, cloud.app.config.database)
    said, _ = process.communicate(timeout=120)
    assert said or process.returncode == -9
    (made,) = [row["id"] for row in images(cloud) if row["name"] == "taken"] or [""]
    if made:  # its maker was killed: whoever takes over makes it anew
        until(lambda: [row["status"] for row in images(cloud) if row["id"] == made] == ["active"])
        held = image_volume(cloud, made)["id"]
        store = scene.store(cloud)
        (name,) = [name for name in store.names() if f"/{made}/" in name]
        assert store.volume(name) == held
        assert b"".join(store.open(name, 0, len(DATA))) == DATA
        assert cloud.call("DELETE", f"/image/v2/images/{made}").status == 204
        until(lambda: not image_volume(cloud, made))
    assert not [name for name in scene.store(cloud).names() if f"/{made}/" in name]
    assert scene.status(cloud, source) == "available"


def images(cloud: Cloud) -> list[dict[str, str]]:
    return [dict(row) for row in cloud.call("GET", "/image/v2/images?limit=1000").json["images"]]


def test_a_reader_that_is_killed_holds_nothing_for_long(cloud: Cloud) -> None:
    data = random_bytes(8 * MIB)
    id = image(cloud, data)
    held = image_volume(cloud, id)["id"]
    process = dying.start("read", cloud.app.config.state, id, 3)
    assert process.stdout is not None and held.encode() in process.stdout.readline()
    (theirs,) = attachments(cloud, held)
    mine = scene.store(cloud).open(next(n for n in scene.store(cloud).names() if f"/{id}/" in n))
    first = next(mine)
    process.kill()
    process.wait()
    until(lambda: theirs not in attachments(cloud, held))
    assert first + b"".join(mine) == data


def test_a_storage_daemon_that_is_killed_interrupts_no_reader(cloud: Cloud) -> None:
    data = random_bytes(16 * MIB)
    id = image(cloud, data)
    held = image_volume(cloud, id)["id"]
    store = scene.store(cloud)
    chunks = store.open(next(n for n in store.names() if f"/{id}/" in n))
    got = [next(chunks)]
    scene.kill_daemon(cloud, held)
    got += list(chunks)
    assert b"".join(got) == data
