"""The measures: what is asked of each cloud. Each cleans up what it made."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.cloud import Cloud, Failed
from bench.load import Outcome, load

Row = tuple[str, Outcome]
CONNECTOR = {
    "host": "bench",
    "ip": "127.0.0.1",
    "platform": "x86_64",
    "os_type": "linux",
    "multipath": False,
    "initiator": "iqn.bench",
    "nbd": True,
}


def api(cloud: Cloud, seconds: float, pids: Iterable[int], type_name: str | None) -> Iterator[Row]:
    """Lists, shows, creates and attach cycles at concurrency 1 and 16."""
    with ThreadPoolExecutor(4) as pool:
        volumes = list(pool.map(lambda n: create_volume(cloud, f"bench-{n}", type_name), range(100)))
    try:
        for n in (1, 16):
            yield (
                "list 100 volumes in detail",
                load(lambda: asked(cloud.call("GET", f"{cloud.volume}/volumes/detail?limit=100")), n, seconds, pids),
            )
            yield (
                "show one volume",
                load(lambda: asked(cloud.call("GET", f"{cloud.volume}/volumes/{volumes[0]}")), n, seconds, pids),
            )
            yield (
                "list images",
                load(lambda: asked(cloud.call("GET", f"{cloud.image}/images?limit=100")), n, seconds, pids),
            )
            yield (
                "identity version",
                load(lambda: asked(cloud.call("GET", cloud.identity, expect=(200, 300))), n, seconds, pids),
            )
        for n in (1, 16):
            yield (
                "volume create until available, delete",
                load(lambda: create_and_delete(cloud, type_name), n, seconds, pids),
            )
        free = list(volumes)
        for n in (1, 16):
            yield "attachment create + delete, no connector", load(lambda: reserve(cloud, free), n, seconds, pids)
            yield "attachment create + update + complete + delete", load(lambda: cycle(cloud, free), n, seconds, pids)
    finally:
        for volume in volumes:
            delete_volume(cloud, volume)


def bytes_moved(cloud: Cloud, path: Path, pids: Iterable[int]) -> Iterator[Row]:
    """Upload and download of one file, three times."""
    images: list[str] = []
    try:
        yield (
            f"upload {path.stat().st_size >> 20} MiB",
            load(lambda: images.append(upload(cloud, path)), 1, 3600, pids, at_most=3),
        )
        yield (
            f"download {path.stat().st_size >> 20} MiB",
            load(lambda: asked(cloud.download(images[0])), 1, 3600, pids, at_most=3),
        )
    finally:
        for image in images:
            cloud.call("DELETE", f"{cloud.image}/images/{image}", expect=(204, 404))


def volume_from_image(
    cloud: Cloud, path: Path, size_gib: int, clients: int, pids: Iterable[int], type_name: str | None
) -> Iterator[Row]:
    """Time from request to `available`."""
    image = upload(cloud, path)
    made: list[str] = []

    def once() -> None:
        made.append(create_volume(cloud, "bench-from-image", type_name, size_gib, imageRef=image))

    try:
        yield (
            f"volume from a {path.stat().st_size >> 20} MiB raw image until available",
            load(once, clients, 3600, pids, at_most=max(5, clients)),
        )
    finally:
        for volume in made:
            delete_volume(cloud, volume)
        for _ in range(60):  # where volumes are clones, the image can go only after them
            try:
                cloud.call("DELETE", f"{cloud.image}/images/{image}", expect=(204, 404))
                break
            except Failed:
                time.sleep(1)


def asked(answer: Any) -> None:
    """Insist that there was an answer."""
    if not answer:
        raise Failed("an empty answer")


def create_volume(cloud: Cloud, name: str, type_name: str | None, size: int = 1, **more: Any) -> str:
    """A volume, available; its id."""
    asked_for = {"size": size, "name": name, **({"volume_type": type_name} if type_name else {}), **more}
    volume: str = cloud.call("POST", f"{cloud.volume}/volumes", {"volume": asked_for})["volume"]["id"]
    wait_for(lambda: cloud.call("GET", f"{cloud.volume}/volumes/{volume}")["volume"]["status"], "available")
    return volume


def wait_for(status: Callable[[], str], wanted: str) -> None:
    """Ask until the status is the one that is wanted, quickly at first."""
    pause, until = 0.002, time.monotonic() + 600
    while (found := status()) != wanted:
        if found.startswith("error") or time.monotonic() > until:
            raise Failed(f"{found} instead of {wanted}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def delete_volume(cloud: Cloud, volume: str) -> None:
    """Delete a volume; do not wait."""
    cloud.call("DELETE", f"{cloud.volume}/volumes/{volume}", expect=(202, 404))


def create_and_delete(cloud: Cloud, type_name: str | None) -> None:
    delete_volume(cloud, create_volume(cloud, "bench-one", type_name))


def reserve(cloud: Cloud, free: list[str]) -> None:
    """Reserve a volume and let it go."""
    volume = free.pop()
    try:
        body = {"attachment": {"volume_uuid": volume, "instance_uuid": str(uuid.uuid4())}}
        attachment = cloud.call("POST", f"{cloud.volume}/attachments", body)["attachment"]["id"]
        cloud.call("DELETE", f"{cloud.volume}/attachments/{attachment}")
    finally:
        free.append(volume)


def cycle(cloud: Cloud, free: list[str]) -> None:
    """The whole life of an attachment."""
    volume = free.pop()
    try:
        body = {"attachment": {"volume_uuid": volume}}
        attachment = cloud.call("POST", f"{cloud.volume}/attachments", body)["attachment"]["id"]
        url = f"{cloud.volume}/attachments/{attachment}"
        try:
            cloud.call("PUT", url, {"attachment": {"connector": CONNECTOR}})
            cloud.call("POST", f"{url}/action", {"os-complete": None})
        finally:
            cloud.call("DELETE", url)
    finally:
        free.append(volume)


def upload(cloud: Cloud, path: Path) -> str:
    """A raw image of the file's bytes; its id."""
    asked_for = {"name": "bench", "disk_format": "raw", "container_format": "bare"}
    image: str = cloud.call("POST", f"{cloud.image}/images", asked_for)["id"]
    cloud.upload(image, path)
    return image
