"""Moorage's own API: what it tells, and to whom it does not."""

from typing import Any

import pytest
from sqlalchemy import update

from moorage.core.ids import new_uuid
from moorage.hosts.devices import Device
from moorage.hosts.records import hosts
from moorage.hosts.service import Sighting, hear
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes.records import attachments, volumes
from moorage.volumes.retention import forget
from tests.cloud import Cloud

V = {"OpenStack-API-Version": "volume 3.71"}


def volume(cloud: Cloud, as_: str = "moorage") -> str:
    reply = cloud.call("POST", "/volume/v3/volumes", {"volume": {"size": 1}}, headers=V, as_=as_)
    assert reply.status == 202, reply.body
    return str(reply.json["volume"]["id"])


def available(cloud: Cloud, as_: str = "moorage") -> str:
    id = volume(cloud, as_)
    while cloud.call("GET", f"/volume/v3/volumes/{id}", headers=V, as_=as_).json["volume"]["status"] == "creating":
        pass
    return id


def reserve(cloud: Cloud, id: str, **more: Any) -> str:
    reply = cloud.call("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": id, **more}}, headers=V)
    assert reply.status == 200, reply.body
    return str(reply.json["attachment"]["id"])


def get(cloud: Cloud, path: str, as_: str = "moorage", status: int = 200) -> Any:
    reply = cloud.call("GET", f"/moorage/v1/{path}", as_=as_)
    assert reply.status == status, reply.body
    return reply.json


def test_why_names_who_is_in_the_way_and_what_may_be_done(cloud: Cloud) -> None:
    id = available(cloud)
    free = get(cloud, f"why/volume/{id}")["why"]
    assert (free["state"], free["operation"], free["blockers"]) == ("available", None, [])
    assert "attach it" in free["you_may"]
    attachment = reserve(cloud, id)
    taken = get(cloud, f"why/volume/{id}")["why"]
    assert [(one["kind"], one["id"]) for one in taken["blockers"]] == [("attachment", attachment)]
    mine = get(cloud, f"why/attachment/{attachment}")["why"]
    assert (mine["state"], mine["next"]) == ("reserved", "Nothing by itself: it is its holder's, and does not expire.")


def test_why_names_the_operation_its_step_and_when_it_is_tried_again(cloud: Cloud) -> None:
    id = available(cloud)
    with cloud.app.database.write() as tx:
        project = tx.value(volumes.select().with_only_columns(volumes.c.project_id).where(volumes.c.id == id))
        asked = {"backend": "files", "size_gib": 2}
        operation = journal.begin(
            tx, "extend-volume", "volume", id, queue="host:elsewhere", project_id=project, input=asked
        )
        change = update(operations).where(operations.c.id == operation)
        tx.run(change.values(attempts=2, not_before=tx.now + 30_000_000, hindrance="The disk is away."))
    found = get(cloud, f"why/volume/{id}")["why"]
    assert found["operation"]["id"] == operation
    assert "has failed 2 times. The disk is away." in found["operation"]["sentence"]
    assert found["next"].startswith("It is tried again in ")
    assert found["next"].endswith(" s, on elsewhere.")
    itself = get(cloud, f"why/operation/{operation}")["why"]
    assert itself["sentence"].startswith(f"extend-volume of volume {id}: It is at step ")
    with cloud.app.database.write() as tx:
        other = journal.begin(tx, "delete-volume", "volume", id, queue="host:elsewhere", project_id=project)
        values = {"state": "parked", "waits_for": operation}
        tx.run(update(operations).where(operations.c.id == other).values(**values))
    parked = get(cloud, f"why/operation/{other}")["why"]
    assert parked["next"] == f"It goes on when operation {operation} is over."
    assert [one["id"] for one in parked["blockers"]] == [operation]
    both = get(cloud, f"why/volume/{id}")["why"]
    assert [one["id"] for one in both["blockers"]] == [other]


def test_why_says_what_an_error_is_about(cloud: Cloud) -> None:
    id = available(cloud)
    attachment = reserve(cloud, id)
    with cloud.app.database.write() as tx:
        change = update(attachments).where(attachments.c.id == attachment)
        tx.run(change.values(state="error_attaching", problem="The daemon died."))
    found = get(cloud, f"why/attachment/{attachment}")["why"]
    assert found["sentence"].endswith("The daemon died.")
    assert "update it with your connector" in found["you_may"]


def test_what_belongs_to_another_project_is_not_there(cloud: Cloud) -> None:
    id = available(cloud, "moorage-admin")
    for path in (f"why/volume/{id}", f"volumes/{id}", f"why/operation/{new_uuid()}", f"attachments/{new_uuid()}"):
        get(cloud, path, status=404)
    get(cloud, f"why/volume/{id}", as_="moorage-admin")
    theirs = [row["resource_id"] for row in get(cloud, "operations")["operations"]]
    assert id not in theirs
    assert id in [row["resource_id"] for row in get(cloud, "operations", as_="moorage-admin")["operations"]]


@pytest.mark.parametrize("path", ["why/planet/x", "why/volume/x", "nothing", "operations/x", "hosts/x/y", "volumes/x"])
def test_what_there_is_not_is_a_404_with_a_code(cloud: Cloud, path: str) -> None:
    error = get(cloud, path, as_="moorage-admin", status=404)["error"]
    assert set(error) == {"code", "message", "status"}


def test_operations_are_listed_in_pages_and_by_state(cloud: Cloud) -> None:
    ids = [available(cloud) for _ in range(3)]
    page = get(cloud, "operations?limit=2")["operations"]
    rest = get(cloud, f"operations?limit=1&marker={page[-1]['id']}")["operations"]
    assert [row["resource_id"] for row in page + rest] == ids[::-1]
    assert [row for row in get(cloud, "operations?state=open")["operations"] if row["resource_id"] in ids] == []
    assert [row["resource_id"] for row in get(cloud, "operations?state=done&limit=3")["operations"]] == ids[::-1]
    assert [row["resource_id"] for row in get(cloud, f"operations?resource_id={ids[0]}")["operations"]] == [ids[0]]
    assert "input" not in page[0]
    assert "input" in get(cloud, f"operations/{page[0]['id']}", as_="moorage-admin")["operation"]
    for wrong in ("limit=x", "limit=-1", "state=odd"):
        get(cloud, f"operations?{wrong}", status=400)
    get(cloud, f"operations?marker={new_uuid()}", status=404)


def test_an_attachment_is_shown_with_its_siblings_also_when_it_is_over(cloud: Cloud) -> None:
    body = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
    cloud.call("POST", "/volume/v3/types", body, as_="moorage-admin", headers=V)
    asked = {"volume": {"size": 1, "volume_type": "shared"}}
    id = str(cloud.call("POST", "/volume/v3/volumes", asked, headers=V).json["volume"]["id"])
    while cloud.call("GET", f"/volume/v3/volumes/{id}", headers=V).json["volume"]["status"] == "creating":
        pass
    one, two = reserve(cloud, id, mode="ro"), reserve(cloud, id)
    with cloud.app.database.write() as tx:
        change = update(attachments).where(attachments.c.volume_id == id)
        tx.run(change.values(host="rack", mountpoint="/srv"))
    shown = get(cloud, f"attachments/{one}")["attachment"]
    assert (shown["host"], shown["mountpoint"], shown["mode"], shown["detached_at"]) == ("rack", "/srv", "ro", None)
    assert [row["id"] for row in shown["same_volume"]] == [row["id"] for row in shown["same_host"]] == [two]
    assert cloud.call("DELETE", f"/volume/v3/attachments/{one}", headers=V).status == 200
    over = get(cloud, f"attachments/{one}")["attachment"]
    assert (over["state"], over["detached_at"] is None) == ("detached", False)
    assert over["project_id"] == shown["project_id"]
    listed = {query: get(cloud, f"attachments?volume_id={id}{query}")["attachments"] for query in ("", "&state=all")}
    assert [row["id"] for row in listed[""]] == [two]
    assert [row["id"] for row in listed["&state=all"]] == [two, one]
    page = get(cloud, f"attachments?volume_id={id}&state=all&limit=1&marker={two}")["attachments"]
    assert [(row["id"], row["host"], row["instance"]) for row in page] == [(one, "rack", None)]
    assert [row["id"] for row in get(cloud, "attachments?host=rack&state=detached")["attachments"]] == [one]
    get(cloud, "attachments?state=odd", status=400)
    get(cloud, f"attachments?marker={new_uuid()}", status=404)
    with cloud.app.database.write() as tx:
        assert forget(tx, tx.now) == 1
        assert forget(tx, tx.now) == 0
    get(cloud, f"attachments/{one}", status=404)
    get(cloud, f"attachments/{two}")


def test_attachments_of_another_project_are_not_listed(cloud: Cloud) -> None:
    id = available(cloud, "moorage-admin")
    body = {"attachment": {"volume_uuid": id}}
    claim = cloud.call("POST", "/volume/v3/attachments", body, headers=V, as_="moorage-admin").json["attachment"]["id"]
    assert get(cloud, f"attachments?volume_id={id}")["attachments"] == []
    assert [row["id"] for row in get(cloud, f"attachments?volume_id={id}", "moorage-admin")["attachments"]] == [claim]


def test_a_volume_says_how_it_was_made_and_administrators_see_what_it_lies_on(cloud: Cloud) -> None:
    id = available(cloud)
    shown = get(cloud, f"volumes/{id}")["volume"]
    assert shown["made"]["path"] == "blank"
    assert "layers" not in shown
    (layer,) = get(cloud, f"volumes/{id}", as_="moorage-admin")["volume"]["layers"]
    assert layer["name"].startswith(f"volumes/{id}/")


def test_hosts_and_the_doctor_are_not_for_everybody(cloud: Cloud) -> None:
    get(cloud, "hosts", status=403)
    assert cloud.call("POST", "/moorage/v1/doctor", {}).status == 403
    known = {host["name"]: host for host in get(cloud, "hosts", as_="moorage-admin")["hosts"]}
    assert known[cloud.app.config.host]["process"] == cloud.app.me.id
    get(cloud, "hosts/nowhere", as_="moorage-admin", status=404)
    for wrong in ({"fix": "yes"}, {"other": 1}, []):
        assert cloud.call("POST", "/moorage/v1/doctor", wrong, as_="moorage-admin").status == 400


def test_devices_of_another_host_are_shown_as_they_were_last_seen(cloud: Cloud) -> None:
    device = Device(path="/dev/loop7", read_only=True, alive=True, mounted="/srv")
    attachment = new_uuid()
    seen = Sighting("p", "b", "/run/agent", "0", ["no FUSE"], {attachment: device})
    for _ in range(2):
        cloud.app.database.transact(lambda tx: hear(tx, "elsewhere", seen))
    host = get(cloud, "hosts/elsewhere", as_="moorage-admin")["host"]
    assert host["devices"] == {attachment: {"path": "/dev/loop7", "read_only": True, "alive": True, "mounted": "/srv"}}
    assert host["obstacles"] == ["no FUSE"]
    with cloud.app.database.read() as tx:
        assert len(tx.all(hosts.select().where(hosts.c.id == "elsewhere"))) == 1


def test_the_status_counts_what_the_caller_sees(cloud: Cloud) -> None:
    both = ("moorage", "moorage-admin")
    before = [get(cloud, "status", as_=one)["status"]["counts"]["volumes"] for one in both]
    available(cloud, "moorage-admin")
    mine, all_ = (get(cloud, "status", as_=one)["status"] for one in both)
    assert [mine["counts"]["volumes"], all_["counts"]["volumes"]] == [before[0], before[1] + 1]
    assert "processes" not in mine
    assert [row["role"] for row in all_["processes"]] == ["up"]
    assert mine["keeper"]["id"] == cloud.app.me.id


def test_who_comes_over_the_agents_socket_needs_no_token(cloud: Cloud) -> None:
    assert cloud.call("GET", "/moorage/v1/hosts", as_=None, local=True).status == 200
    assert cloud.call("GET", "/moorage/v1/hosts", as_=None).status == 401
