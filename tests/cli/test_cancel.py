"""`moorage cancel`: an upload that somebody else began is turned back; the image stays."""

import http.client
import threading
from collections.abc import Iterator

from tests.cli.host import Host


def test_an_upload_is_cancelled_by_the_image_it_is_for(host: Host) -> None:
    asked = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    id = str(host.server.call("POST", "/image/v2/images", asked).json["id"])
    begun, over, answers = threading.Event(), threading.Event(), []

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        begun.set()
        assert over.wait(60)

    def put() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", host.server.port, timeout=90)
        headers = {"Content-Type": "application/octet-stream", "X-Auth-Token": host.server.token()}
        connection.request("PUT", f"/image/v2/images/{id}/file", pieces(), headers, encode_chunked=True)
        answers.append(connection.getresponse().status)

    upload = threading.Thread(target=put)
    upload.start()
    try:
        assert begun.wait(60)
        while host.server.call("GET", f"/image/v2/images/{id}").json["status"] != "saving":
            pass
        assert host.run("cancel", id) == f"upload-image of image {id}: cancelled"
        assert host.server.call("GET", f"/image/v2/images/{id}").json["status"] == "queued"
        assert host.run("cancel", id, status=1)  # nothing is under way any more
    finally:
        over.set()
        upload.join()
    assert answers == [409]
