"""Volumes of images that real services keep: S3 and Swift, away for a while; a web server, with bytes unknown."""

import re
import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from moorage.config import StoreSettings
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.volumes.settings import VolumeSettings
from tests import radosgw
from tests.cloud import running
from tests.conftest import run_directory
from tests.drivers.clients import client
from tests.drivers.fetch.web import answer, web
from tests.flows.far import DATA, SIZE, Far, same
from tests.patience import until

SLOW = replace(VolumeSettings(), hydration_mib_per_s=1, fault_patience_s=20)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[radosgw.Own]:
    """A gateway that nobody else uses."""
    own = radosgw.Own(radosgw.Cluster(run_directory(tmp_path_factory)).gateway())
    yield own
    own.kill()


@pytest.fixture
def kept(own: radosgw.Own, tmp_path: Path, request: pytest.FixtureRequest) -> StoreSettings:
    gateway = own.gateway
    own.start()
    name, key = "b-" + secrets.token_hex(8), tmp_path / "key"
    if request.param == "swift":
        key.write_text(gateway.swift_key)
        where = SwiftSettings(
            auth_url=gateway.auth_v1, auth_version="1", user=gateway.swift_user, key_file=str(key), container=name
        )
        return StoreSettings("far", kind="swift", swift=where)
    key.write_text(gateway.secret)
    bare = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=gateway.url,
        aws_access_key_id=gateway.access,
        aws_secret_access_key=gateway.secret,
    )
    bare.create_bucket(Bucket=name)
    s3 = S3Settings(endpoint=gateway.url, bucket=name, access_key=gateway.access, secret_key_file=str(key))
    return StoreSettings("far", kind="s3", s3=s3)


@pytest.mark.parametrize("harm", ["stop", "kill", "restart"])
@pytest.mark.parametrize("kept", ["s3", "swift"], indirect=True)
def test_reads_and_hydration_wait_for_a_service_that_is_harmed(
    state_dir: Path, own: radosgw.Own, kept: StoreSettings, harm: str
) -> None:
    with running(state_dir, stores=(StoreSettings("files"), kept), volumes=SLOW) as cloud:
        far = Far(cloud, state_dir / "unused", real=True)
        id = far.volume(far.image())
        assert far.shown(id)["made"]["path"] == "lazy"
        _, door = far.door(id)
        with client(door) as nbd, client(door) as sibling, ThreadPoolExecutor(1) as other:
            assert nbd.pread(512, 0) == DATA[:512]
            getattr(own, harm)()
            try:
                late = other.submit(nbd.pread, 4096, SIZE - 4096)
                if harm != "restart":
                    time.sleep(1)
                    assert not late.done()
                assert sibling.pread(512, 1024) == DATA[1024:1536]  # what is there does not wait
            finally:
                own.start()
            assert late.result(30) == DATA[SIZE - 4096 :]
            same(nbd)
        until(far.whole)


@pytest.fixture
def page(state_dir: Path) -> Iterator[tuple[Far, Any]]:
    """A cloud with a store of kind http, and a server that serves `DATA` at /disk, in parts as well."""

    def serve(connection: socket.socket) -> None:
        if site.garbled:
            connection.sendall(answer(200, b"<html>the proxy is ill</html>"))
            return
        asked = re.search(r"Range: bytes=(\d+)-(\d*)", site.asked[-1])
        if asked is None:
            connection.sendall(answer(200, DATA, ETag='"one"'))
            return
        first, last = int(asked[1]), min(int(asked[2] or SIZE - 1), SIZE - 1)
        where = {"Content_Range": f"bytes {first}-{last}/{SIZE}", "ETag": '"one"'}
        connection.sendall(answer(206, DATA[first : last + 1], **where))

    with web() as site:
        site.garbled = False  # type: ignore[attr-defined]
        site.pages["/disk"] = serve
        fetch = FetchSettings(allowed_networks=("127.0.0.1/32",), allowed_ports=(site.port,), idle_timeout_s=5.0)
        stores = (StoreSettings("files"), StoreSettings("far", kind="http"))
        with running(state_dir, stores=stores, fetch=fetch, volumes=SLOW) as cloud:
            yield Far(cloud, state_dir / "unused", real=True), site


def located(far: Far, url: str) -> str:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    id = str(far.call("POST", "/image/v2/images", body)["id"])
    reply = far.cloud.call("POST", f"/image/v2/images/{id}/locations", {"url": url}, as_="moorage-admin")
    assert reply.status == 202, reply.body
    until(lambda: far.call("GET", f"/image/v2/images/{id}")["status"] == "active")
    return id


def test_what_others_serve_is_read_before_a_volume_lies_on_it(page: tuple[Far, Any]) -> None:
    far, site = page
    image = located(far, site.url("/disk"))
    id = far.begin(image)
    until(lambda: far.status(id) not in ("creating", "downloading"))
    assert far.shown(id)["made"]["path"] in ("downloaded", "lazy"), far.shown(id)
    until(far.whole)
    far.call("DELETE", f"/image/v2/images/{image}")
    site.garbled = True
    with far.attached(id) as nbd:
        same(nbd)
