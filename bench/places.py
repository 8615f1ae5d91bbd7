"""
The stores that images are put into here: of every kind that Moorage has, each a real one.

S3 and Swift are Ceph's gateway, started for this on a file that compresses what it gets: all of an image is sent and
fetched.  It shares the machine with whoever asks it, and is given more time than stores usually are.  The web server is
nginx.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import botocore.session

from bench.cloud import Cloud, Failed
from bench.disks import Disk
from bench.web import nginx
from tests import radosgw

NEAR, FAR, VOLUME, S3, SWIFT = "files", "files, elsewhere", "volume", "s3", "swift"
WEB, WEB_HASHED = "http", "http, hash"
ALL = (NEAR, FAR, VOLUME, WEB, WEB_HASHED, S3, SWIFT)
HOST = "bench"
BUCKET = "images"
PAUSE_S, PATIENCE_S = 0.02, 1800.0

CONFIG = """
host = "{host}"

[volumes]
quota_volumes = -1
quota_gigabytes = -1

[fetch]
allowed_networks = ["127.0.0.1/32"]
allowed_ports = [{port}]

[[stores]]
id = "near"

[[stores]]
id = "far"
path = "{far}"

[[stores]]
id = "volume"
kind = "volume"

[[stores]]
id = "web"
kind = "http"
"""

CEPH = """
[[stores]]
id = "s3"
kind = "s3"
[stores.s3]
endpoint = "{url}"
bucket = "{bucket}"
access_key = "{access}"
secret_key_file = "{keys}/s3"
timeout_s = 300.0

[[stores]]
id = "swift"
kind = "swift"
[stores.swift]
auth_url = "{url}/auth/v1.0"
auth_version = "1"
user = "{swift_user}"
key_file = "{keys}/swift"
timeout_s = 300.0
"""


@contextmanager
def places(folder: Path, asked: Sequence[str] | None) -> Iterator[tuple[Path, list["Place"]]]:
    """The stores, running: a configuration that has them, and themselves. What is not installed is left out."""
    chosen = list(asked or ALL)
    with ExitStack() as stack:
        port, _ = stack.enter_context(nginx(folder, folder / "disks" / "any"))
        text = CONFIG.format(host=HOST, far=folder / "far", port=port or 80)
        if not port:
            chosen = [name for name in chosen if name not in (WEB, WEB_HASHED)]
        if {S3, SWIFT} & set(chosen):
            if missing := radosgw.missing():
                print(f"neither {S3} nor {SWIFT}: {', '.join(missing)} not installed\n")
                chosen = [name for name in chosen if name not in (S3, SWIFT)]
            else:
                text += stack.enter_context(_ceph(folder))
        (folder / "far").mkdir()
        config = folder / "moorage.toml"
        config.write_text(text)
        yield config, [Place(name, f"http://127.0.0.1:{port}") for name in chosen]


@contextmanager
def _ceph(folder: Path) -> Iterator[str]:
    """A gateway with a bucket; the stores in it."""
    facts = radosgw.start(radosgw.ON_DISK)
    try:
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        (keys / "s3").write_text(facts["secret"])
        (keys / "swift").write_text(facts["swift_key"])
        secrets = {"aws_access_key_id": facts["access"], "aws_secret_access_key": facts["secret"]}
        session = botocore.session.Session()
        client = session.create_client("s3", region_name="us-east-1", endpoint_url=facts["url"], **secrets)
        client.create_bucket(Bucket=BUCKET)
        yield CEPH.format(bucket=BUCKET, keys=keys, **facts)
    finally:
        radosgw.end(Path(facts["home"]))


class Place:
    """A store that images can be put into."""

    def __init__(self, name: str, web: str) -> None:
        self.name, self._web = name, web
        self.id = {NEAR: "near", FAR: "far"}.get(name, name)

    def put(self, cloud: Cloud, disk: Disk) -> tuple[str, float]:
        """An image of the disk, active; its id, and how many seconds that took."""
        body = {"name": "bench", "disk_format": disk.format, "container_format": "bare"}
        image = str(cloud.call("POST", f"{cloud.image}/images", body)["id"])
        said = {"os_hash_algo": "sha512", "os_hash_value": _hash(disk.file)} if self.name == WEB_HASHED else None
        before = time.monotonic()
        if self.name in (WEB, WEB_HASHED):
            self._locate(cloud, image, disk, {"validation_data": said} if said else {})
        else:
            cloud.upload(image, disk.file, self.id)
        return image, time.monotonic() - before

    def _locate(self, cloud: Cloud, image: str, disk: Disk, more: Mapping[str, object]) -> None:
        url, until = f"{cloud.image}/images/{image}", time.monotonic() + PATIENCE_S
        cloud.call("POST", f"{url}/locations", {"url": f"{self._web}/{disk.file.name}", **more})
        while (found := cloud.call("GET", url)["status"]) != "active":
            if time.monotonic() > until:
                raise Failed(f"the image is {found}")
            time.sleep(PAUSE_S)


def _hash(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha512").hexdigest()
