"""Downloads: whole, in parts, of what is not there, of what has gone short."""

import io
import os
from pathlib import Path
from typing import Any

from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.memory import MemoryStore
from tests.images.cloud import JSON, ImageCloud, running

DATA = bytes(range(256)) * 4096 * 3  # three of the chunks that stores read in


def test_the_whole(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    reply = cloud.call("GET", f"/image/v2/images/{id}/file")
    assert (reply.status, reply.body == DATA) == (200, True)
    assert reply.headers["content-length"] == str(len(DATA))
    assert reply.headers["content-md5"] == cloud.show(id)["checksum"]
    assert reply.headers["content-type"] == "application/octet-stream"
    assert "content-range" not in reply.headers


def test_parts(cloud: ImageCloud) -> None:
    id, size = cloud.filled(DATA), len(DATA)
    # fmt: off
    cases: tuple[tuple[str, int, int, int], ...] = (
        ("bytes=0-0", 206, 0, 1), ("bytes=5-1048580", 206, 5, 1048576), ("bytes=0-", 206, 0, size),
        (f"bytes={size - 1}-", 206, size - 1, 1), ("bytes=-7", 206, size - 7, 7), (f"bytes=-{size * 2}", 206, 0, size),
        (f"bytes=10-{size * 9}", 206, 10, size - 10), ("Bytes = 1 - 2", 206, 1, 2),
        (f"bytes={size}-", 416, 0, 0), ("bytes=9-8", 416, 0, 0), ("lines=1-2", 416, 0, 0), ("bytes=-", 416, 0, 0),
        ("bytes=x-2", 416, 0, 0), ("bytes=-0", 416, 0, 0), ("", 416, 0, 0), ("bytes=0-1,4-5", 400, 0, 0),
        (f"bytes={'9' * 20}-", 416, 0, 0),
    )
    # fmt: on
    for asked, status, first, length in cases:
        reply = cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": asked})
        assert (reply.status, asked) == (status, asked)
        if status == 206:
            assert reply.body == DATA[first : first + length], asked
            assert reply.headers["content-range"] == f"bytes {first}-{first + length - 1}/{size}"
            assert reply.headers["content-length"] == str(length)


def test_old_clients_name_the_part_in_content_range(cloud: ImageCloud) -> None:
    id = cloud.filled(DATA)
    file = f"/image/v2/images/{id}/file"
    reply = cloud.call("GET", file, headers={"content-range": "bytes 5-9/*"})
    assert (reply.status, reply.body) == (206, DATA[5:10])
    assert cloud.call("GET", file, headers={"content-range": "5-9"}).status == 400


def test_an_empty_image_has_no_parts(cloud: ImageCloud) -> None:
    id = cloud.filled(b"")
    for asked in ("bytes=0-0", "bytes=0-", "bytes=-1"):
        assert cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": asked}).status == 416


def test_there_is_nothing_to_read_before_the_upload(cloud: ImageCloud) -> None:
    reply = cloud.call("GET", f"/image/v2/images/{cloud.image()}/file")
    assert (reply.status, reply.body) == (204, b"")


def test_readers_do_not_download(cloud: ImageCloud) -> None:
    id = cloud.filled(visibility="community")
    file = f"/image/v2/images/{id}/file"
    statuses = {who: cloud.call("GET", file, as_=who).status for who in ("alice", "anna", "bob", "root", "nobody")}
    assert statuses == {"alice": 200, "anna": 403, "bob": 200, "root": 200, "nobody": 403}


def test_a_named_store_must_exist(cloud: ImageCloud) -> None:
    id = cloud.filled()
    assert cloud.call("GET", f"/image/v2/images/{id}/file?prefer=nonesuch").status == 400
    assert cloud.call("GET", f"/image/v2/images/{id}/file?prefer=files").status == 200


def test_missing_data_are_never_an_empty_image(cloud: ImageCloud, state_dir: Path) -> None:
    id = cloud.filled(DATA)
    (file,) = [path for path in state_dir.glob("images/*/*") if path.is_file()]
    file.chmod(0o640)
    os.truncate(file, 1000)
    reply = cloud.call("GET", f"/image/v2/images/{id}/file", headers=JSON)
    assert (reply.status, id in reply.json["message"], "files" in reply.json["message"]) == (503, True, True)
    file.unlink()
    assert cloud.call("GET", f"/image/v2/images/{id}/file").status == 503


def test_a_file_that_shrinks_on_the_way_breaks_the_connection(database: Any, state_dir: Path) -> None:
    class Shrinking(FilesStore):
        """Its files lose their second half between the look at them and the sending."""

        def file(self, name: str) -> Any:
            opened, path = super().file(name), self.path(name)
            assert path is not None
            path.chmod(0o640)
            os.truncate(path, len(DATA) // 2)
            return opened

    with running(database, state_dir, {"files": Shrinking("files", state_dir)}) as cloud:
        id = cloud.filled(DATA)
        reply = cloud.call("GET", f"/image/v2/images/{id}/file")
        assert reply.broken
        assert len(reply.body) <= len(DATA) // 2


def test_each_part_is_asked_for_anew(cloud: ImageCloud) -> None:
    """Nothing of a permission, or of an open file, is kept from one part to the next."""
    id = cloud.filled(DATA)

    def part(who: str) -> int:
        reply = cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": "bytes=0-9"}, as_=who)
        return reply.status

    assert (part("alice"), part("bob")) == (206, 404)
    cloud.call("POST", f"/image/v2/images/{id}/actions/deactivate")
    assert (part("alice"), part("root")) == (403, 206)
    cloud.call("POST", f"/image/v2/images/{id}/actions/reactivate")
    assert part("alice") == 206
    cloud.call("DELETE", f"/image/v2/images/{id}")
    assert (part("alice"), part("root")) == (404, 404)


def test_a_file_whose_beginning_cannot_be_read_is_told(database: Any, state_dir: Path) -> None:
    class Unreadable(FilesStore):
        """Its files are opened so that nothing can be read of them."""

        def file(self, name: str) -> Any:
            opened = super().file(name)
            assert opened is not None
            file, size = opened
            file.close()
            return io.FileIO(os.open(os.devnull, os.O_WRONLY), "r"), size  # EBADF for who reads it

    with running(database, state_dir, {"files": Unreadable("files", state_dir)}) as cloud:
        id = cloud.filled(DATA)
        reply = cloud.call("GET", f"/image/v2/images/{id}/file", headers=JSON)
        assert (reply.status, id in reply.json["message"], "files" in reply.json["message"]) == (503, True, True)


def test_stores_without_files_are_read_in_chunks(database: Any, state_dir: Path) -> None:
    with running(database, state_dir, {"memory": MemoryStore("memory")}) as cloud:
        id = cloud.filled(DATA)
        assert cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
        part = cloud.call("GET", f"/image/v2/images/{id}/file", headers={"range": "bytes=1000000-2100000"})
        assert part.body == DATA[1000000:2100001]
