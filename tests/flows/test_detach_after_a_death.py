"""A detach never says that writes are durable which died with the volume's daemon."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from chaos.disk import connect
from moorage.flows.volumes import mend_volume
from tests.cloud import Cloud, running
from tests.drivers.clients import libnbd
from tests.patience import eventually

VERSION = {"openstack-api-version": "volume 3.54"}
CONNECTOR = {"host": "h", "nbd": True}


@pytest.fixture(params=["raw", "clone"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def volume(cloud: Cloud, **asked: Any) -> str:
    id = str(cloud.call("POST", "/volume/v3/volumes", {"volume": asked}).json["volume"]["id"])
    shown = f"/volume/v3/volumes/{id}"
    assert eventually(lambda: cloud.call("GET", shown).json["volume"]["status"] == "available")
    return id


def written(cloud: Cloud, kind: str, state: Path) -> tuple[str, dict[str, str]]:
    """An attachment whose holder was told that he wrote, and its generation; then its daemon died."""
    of = volume(cloud, size=1)
    of = of if kind == "raw" else volume(cloud, source_volid=of)
    asked = {"attachment": {"volume_uuid": of, "connector": CONNECTOR}}
    reply = cloud.call("POST", "/volume/v3/attachments", asked, as_="moorage-admin", headers=VERSION)
    assert reply.status == 200, reply.body
    shown = reply.json["attachment"]
    disk = connect(shown["connection_info"])
    disk.write(b"x" * 4096, 0)
    record = json.loads((state / f"run/daemons/{of}.json").read_text())
    os.kill(record["process"]["pid"], signal.SIGKILL)
    disk.close()
    return shown["id"], {"moorage-generation": reply.headers["moorage-generation"]}


@pytest.mark.skipif(not libnbd, reason="needs python3-libnbd")
@pytest.mark.parametrize(("asks", "mended"), [(True, False), (True, True), (False, False)])
def test_who_names_his_generation_hears_of_the_loss(
    state_dir: Path, database_url: str, kind: str, asks: bool, mended: bool
) -> None:
    with running(state_dir, database_url) as cloud:
        unwatched: Any = cloud.app.rooms.backends["files"]
        unwatched._watch.stop()  # the death is noticed when the test says so
        id, mine = written(cloud, kind, state_dir)
        if mended:
            of = cloud.call("GET", f"/volume/v3/attachments/{id}", as_="moorage-admin", headers=VERSION).json[
                "attachment"
            ]["volume_id"]
            mend_volume.mend_now(cloud.app.rooms, of)
        headers = VERSION | (mine if asks else {})
        reply = cloud.call("DELETE", f"/volume/v3/attachments/{id}", as_="moorage-admin", headers=headers)
        lost = kind == "clone" and asks
        assert reply.status == (409 if lost else 200), reply.body
        if lost:
            assert "daemon died" in reply.body.decode()
        gone = cloud.call("GET", f"/volume/v3/attachments/{id}", as_="moorage-admin", headers=VERSION).status
        assert gone == (200 if lost and mended else 404)  # who was told before he asked has still to detach
