"""Hosts elsewhere on the wire: registered by administrators, believed by their secrets, told what they may not hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.core.ids import new_uuid
from tests.cloud import Cloud, Reply, running

V = {"OpenStack-API-Version": "volume 3.71"}
BEAT: dict[str, Any] = {"boot": "b", "version": "1", "agent": "/run/agent", "obstacles": [], "devices": {}}
DEVICE = {"path": "/dev/loop7", "read_only": False, "alive": True, "mounted": None}


@pytest.fixture
def cloud(state_dir: Path) -> Iterator[Cloud]:
    with running(state_dir) as cloud:
        yield cloud


def register(cloud: Cloud, name: str, as_: str | None = "moorage-admin") -> Reply:
    return cloud.call("POST", "/moorage/v1/hosts", {"host": {"name": name}}, as_=as_)


def beat(cloud: Cloud, name: str, secret: str, **more: Any) -> Reply:
    path, headers = f"/moorage/v1/hosts/{name}/heartbeat", {"Moorage-Host-Secret": secret}
    return cloud.call("POST", path, {"heartbeat": {**BEAT, **more}}, as_=None, headers=headers)


def test_a_host_is_registered_by_an_administrator_and_told_its_secret_once(cloud: Cloud) -> None:
    assert register(cloud, "rack1", "moorage").status == 403
    assert register(cloud, "rack1", None).status == 401
    assert register(cloud, "no spaces").status == 400
    served = register(cloud, cloud.app.rooms.host)
    assert (served.status, served.json["error"]["code"]) == (409, "host.served")
    made = register(cloud, "rack1")
    assert made.status == 201
    secret = made.json["host"]["secret"]
    shown = cloud.call("GET", "/moorage/v1/hosts/rack1", as_="moorage-admin")
    assert shown.json["host"]["registered"] is True and secret.encode() not in shown.body
    assert beat(cloud, "rack1", secret).status == 200
    assert cloud.call("GET", "/moorage/v1/hosts/rack1", as_="moorage-admin").json["host"]["heartbeat_at"]
    assert cloud.call("DELETE", "/moorage/v1/hosts/rack1", as_="moorage").status == 403
    assert cloud.call("DELETE", "/moorage/v1/hosts/rack1", as_="moorage-admin").status == 204
    assert beat(cloud, "rack1", secret).status == 401
    assert cloud.call("DELETE", "/moorage/v1/hosts/rack1", as_="moorage-admin").status == 404


def test_only_its_own_secret_makes_a_heartbeat(cloud: Cloud) -> None:
    register(cloud, "rack2")
    other = register(cloud, "rack3").json["host"]["secret"]
    for name, secret in (("rack2", other), ("rack2", ""), ("rack2", "x" * 5000), ("nobody", other)):
        assert (beat(cloud, name, secret).status, beat(cloud, name, secret).json["error"]["code"]) == (
            401,
            "host.not-proven",
        )
    admin = cloud.call("POST", "/moorage/v1/hosts/rack2/heartbeat", {"heartbeat": BEAT}, as_="moorage-admin")
    assert admin.status == 401
    for more in ({"devices": {"x": DEVICE}}, {"devices": {new_uuid(): {}}}, {"colour": "red"}, {"boot": 1}):
        assert beat(cloud, "rack3", other, **more).status == 400


def test_a_heartbeat_renews_and_tells_what_is_over(cloud: Cloud) -> None:
    secret = register(cloud, "rack4").json["host"]["secret"]
    volume = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}, headers=V).json["volume"]["id"]
    while cloud.call("GET", f"/volume/v3/volumes/{volume}", headers=V).json["volume"]["status"] != "available":
        pass
    asked = {"attachment": {"volume_uuid": volume}}
    headers = {**V, "Moorage-Lease": "60"}
    id = cloud.call("POST", "/volume/v3/attachments", asked, headers=headers).json["attachment"]["id"]
    stranger = new_uuid()
    told = beat(cloud, "rack4", secret, devices={id: DEVICE, stranger: DEVICE}).json["heartbeat"]
    assert (told["leases"], told["over"], told["again_in_s"]) == ({}, sorted([id, stranger]), 5.0)
    body = {"attachment": {"connector": {"host": "rack4", "nbd": True}}}
    opened = cloud.call("PUT", f"/volume/v3/attachments/{id}", body, headers={**V, "Moorage-Lease": "3"})
    assert opened.status == 200, opened.body
    told = beat(cloud, "rack4", secret, devices={id: DEVICE, stranger: DEVICE}).json["heartbeat"]
    assert (list(told["leases"]), told["over"], told["again_in_s"]) == ([id], [stranger], 1.0)
    path = "/moorage/v1/hosts/rack4/leases"
    for more in ({"as_": "moorage-admin"}, {"as_": None, "headers": {"Moorage-Host-Secret": secret}}):
        (lease,) = cloud.call("GET", path, **more).json["leases"]
        assert (lease["attachment"], lease["host"], lease["term_s"]) == (id, "rack4", 3)
    assert cloud.call("GET", path, as_="moorage").status == 403
    assert cloud.call("GET", path, as_=None, headers={"Moorage-Host-Secret": "x"}).status == 401
    deadline_path = f"/moorage/v1/attachments/{id}"
    while cloud.call("GET", deadline_path).json["attachment"]["state"] != "detached":  # nobody beats any more
        pass
    assert beat(cloud, "rack4", secret, devices={id: DEVICE}).json["heartbeat"]["over"] == [id]
    assert "lapsed" in cloud.call("GET", deadline_path).json["attachment"]["problem"]
    (event,) = [
        row
        for row in cloud.call("GET", f"/moorage/v1/events?id={id}", as_="moorage-admin").json["events"]
        if row["what"] == "attachment.lapsed"
    ]
    assert event["facts"]["reason"] == "lease"
