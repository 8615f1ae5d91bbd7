"""Remote stores behind a way that tests break, in a cloud of one process."""

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config as ClientConfig

from moorage.database import Database
from moorage.drivers.stores.files import FilesStore
from moorage.drivers.stores.health import Watched
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.s3.store import S3Store
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.swift.store import SwiftStore
from moorage.images.store import Store
from tests import radosgw, schema
from tests.conftest import run_directory
from tests.images.cloud import ImageCloud, running
from tests.stores.way import Way


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """The run's gateway of S3 and Swift."""
    return radosgw.Cluster(run_directory(tmp_path_factory)).gateway()


@pytest.fixture
def way(gateway):
    """The way to the gateway."""
    at = urlsplit(gateway.url)
    way = Way((at.hostname, at.port))
    yield way
    way.close()


@dataclass
class World:
    """A cloud with the stores `far`, which is remote, and `near`; the first is the default and is read first."""

    cloud: ImageCloud
    way: Way | radosgw.Own
    far: Store  #: as the cloud uses it
    direct: Store  #: the same objects, reached without the way


@pytest.fixture
def patience_s():
    """How long the remote store waits for its service."""
    return 3.0


@pytest.fixture(params=["s3", "swift"])
def far(request, gateway, way, patience_s, tmp_path):
    """The remote store behind the way, and the same one without it."""
    name = "w-" + secrets.token_hex(8)
    (tmp_path / "secret").write_text(gateway.secret)
    (tmp_path / "key").write_text(gateway.swift_key)
    times = {"connect_timeout_s": patience_s, "timeout_s": patience_s}
    behind = f"http://127.0.0.1:{way.port}"

    def build(url: str, **more: float) -> Store:
        if request.param == "swift":
            return SwiftStore(
                "far",
                SwiftSettings(
                    auth_url=f"{url}/auth/v1.0",
                    auth_version="1",
                    user=gateway.swift_user,
                    key_file=str(tmp_path / "key"),
                    endpoint=f"{url}/swift/v1",
                    container=name,
                    segment_size=1,
                    **more,
                ),
            )
        secret = str(tmp_path / "secret")
        return S3Store(
            "far",
            S3Settings(
                endpoint=url, bucket=name, access_key=gateway.access, secret_key_file=secret, part_size=5, **more
            ),
        )

    if request.param == "s3":
        bucket_of(gateway).create_bucket(Bucket=name)
    far, direct = build(behind, **times), build(gateway.url)
    yield far, direct
    far.close()
    direct.close()


def bucket_of(gateway):
    """A client of the gateway that is not ours."""
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=gateway.url,
        aws_access_key_id=gateway.access,
        aws_secret_access_key=gateway.secret,
        config=ClientConfig(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def world(far, way, state_dir):
    """The cloud, with its stores; which database it has makes no difference here."""
    url = f"sqlite:///{state_dir}/moorage.db"
    schema.migrate(url)
    database = Database(url)
    watched = Watched(far[0], pauses_s=(0.1, 0.2))
    stores = {"far": watched, "near": FilesStore("near", state_dir)}
    with running(database, state_dir, stores) as cloud:
        cloud.rooms.settings = with_weights(cloud.rooms.settings, far=10, near=0)
        yield World(cloud, way, watched, far[1])
    watched.close()
    database.close()


def with_weights(config, **weights):
    """The configuration with other weights of its stores."""
    from dataclasses import replace

    stores = tuple(replace(store, weight=weights[store.id]) for store in config.stores)
    return replace(config, stores=stores)
