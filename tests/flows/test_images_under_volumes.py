"""Volumes lie on an image's own bytes: whichever goes last, image or volume, takes them along, and nobody sooner."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.images.records import locations
from tests.cloud import Cloud, running
from tests.patience import until

DATA = b"first sector".ljust(1 << 20, b"\0")
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def cloud(state_dir: Path, database_url: str) -> Iterator[Cloud]:
    with running(state_dir, database_url) as cloud:
        yield cloud


def image(cloud: Cloud) -> str:
    made = cloud.call("POST", "/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"})
    assert made.status == 201, made.body
    id = str(made.json["id"])
    assert cloud.call("PUT", f"/image/v2/images/{id}/file", content=DATA, headers=BYTES).status == 204
    return id


def project(cloud: Cloud) -> str:
    headers = {"x-subject-token": cloud.token()}
    return str(cloud.call("GET", "/identity/v3/auth/tokens", headers=headers).json["token"]["project"]["id"])


def volume(cloud: Cloud, image_id: str) -> str:
    volumes = f"/volume/v3/{project(cloud)}/volumes"
    made = cloud.call("POST", volumes, {"volume": {"size": 1, "imageRef": image_id}})
    assert made.status == 202, made.body
    path = f"{volumes}/{made.json['volume']['id']}"
    until(lambda: cloud.call("GET", path).json["volume"]["status"] == "available")
    return path


def objects(cloud: Cloud) -> frozenset[str]:
    return cloud.app.rooms.stores["files"].names()


def test_the_last_volume_takes_the_bytes_along(cloud: Cloud) -> None:
    id = image(cloud)
    one, two = volume(cloud, id), volume(cloud, id)
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert cloud.call("GET", f"/image/v2/images/{id}").status == 404
    assert len(objects(cloud)) == 1
    for path, left in ((one, 1), (two, 0)):
        assert cloud.call("DELETE", path).status == 202
        until(lambda path=path: cloud.call("GET", path).status == 404)
        until(lambda left=left: len(objects(cloud)) == left)


def test_an_image_outlives_its_volumes(cloud: Cloud) -> None:
    id = image(cloud)
    path = volume(cloud, id)
    assert cloud.call("DELETE", path).status == 202
    until(lambda: cloud.call("GET", path).status == 404)
    assert cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    assert cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
    assert objects(cloud) == frozenset()


def test_both_at_once_leave_nothing(cloud: Cloud) -> None:
    for _ in range(4):
        id = image(cloud)
        path, start, statuses = volume(cloud, id), threading.Barrier(2), []

        def delete(path: str, start: threading.Barrier = start, statuses: list[int] = statuses) -> None:
            start.wait(20)
            statuses.append(cloud.call("DELETE", path).status)

        threads = [threading.Thread(target=delete, args=(path,)) for path in (path, f"/image/v2/images/{id}")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [202, 204]
        until(lambda path=path: cloud.call("GET", path).status == 404)
        until(lambda: objects(cloud) == frozenset())
    until(lambda: location_rows(cloud) == [])


def location_rows(cloud: Cloud) -> list[Any]:
    with cloud.app.database.read() as tx:
        return list(tx.all(locations.select()))
