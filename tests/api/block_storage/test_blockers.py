"""Every refusal that means "something is in the way" says what, by id, to whoever may see it and to nobody else."""

from collections.abc import Callable
from typing import Any

import pytest

from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes.records import volumes
from tests.volumes.rig import DEMO, Reply, Rig

Scene = Callable[[Rig], tuple[Reply, str]]


def attached(rig: Rig) -> tuple[str, str]:
    id = rig.volume()
    return id, rig.attach(id)["id"]


def busy(rig: Rig, id: str, kind: str = "extend-volume") -> str:
    """An operation on the volume that nobody carries out."""
    with rig.database.write() as tx:
        row = tx.get(volumes, id)
        assert row is not None
        asked = {"backend": "files", "size_gib": 2, "more_gib": 1}
        more: dict[str, Any] = {"queue": "host:away", "project_id": DEMO, "input": asked}
        operation = journal.begin(tx, kind, "volume", id, **more)
        tx.change(volumes, id, {"status": "extending"})
        return operation


def act(rig: Rig, id: str, action: str, asked: Any = None, as_: str = "demo") -> Reply:
    return rig.call("POST", f"/volumes/{id}/action", {action: asked}, as_)


def create(rig: Rig, id: str) -> Reply:
    return rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}})


def delete_attached(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    return rig.call("DELETE", f"/volumes/{id}"), f"attachment {claim}"


def extend_attached(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    return act(rig, id, "os-extend", {"new_size": 2}), f"attachment {claim}"


def extend_busy(rig: Rig) -> tuple[Reply, str]:
    id = rig.volume()
    operation = busy(rig, id)
    return act(rig, id, "os-extend", {"new_size": 3}), f"operation {operation}"


def attach_twice(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    return create(rig, id), f"attachment {claim}"


def attach_busy(rig: Rig) -> tuple[Reply, str]:
    id = rig.volume()
    operation = busy(rig, id)
    return create(rig, id), f"operation {operation}"


def readonly_attached(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    return act(rig, id, "os-update_readonly_flag", {"readonly": True}), f"attachment {claim}"


def copy_attached(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    return rig.call("POST", "/volumes", {"volume": {"size": 1, "source_volid": id}}), f"attachment {claim}"


def metadata_in_maintenance(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    assert act(rig, id, "os-reset_status", {"status": "maintenance"}, "admin").status == 202
    return rig.call("POST", f"/volumes/{id}/metadata", {"metadata": {"a": "b"}}), f"attachment {claim}"


def image_metadata_in_maintenance(rig: Rig) -> tuple[Reply, str]:
    id, claim = attached(rig)
    assert act(rig, id, "os-reset_status", {"status": "maintenance"}, "admin").status == 202
    return act(rig, id, "os-set_image_metadata", {"metadata": {"a": "b"}}), f"attachment {claim}"


def second_connector(rig: Rig) -> tuple[Reply, str]:
    """A server holds the volume twice, and one of both is open to a host already."""
    id, server = rig.volume(), "11111111-1111-4111-8111-111111111111"
    asked = {"volume_uuid": id, "instance_uuid": server}
    first, second = (rig.call("POST", "/attachments", {"attachment": asked}).json["attachment"]["id"] for _ in range(2))
    where = {"attachment": {"connector": {"nbd": True, "host": "h"}}}
    assert rig.call("PUT", f"/attachments/{first}", where, "nova").status == 200
    return rig.call("PUT", f"/attachments/{second}", where, "nova"), f"attachment {first}"


def stale_holder(rig: Rig) -> tuple[Reply, str]:
    _, claim = attached(rig)
    return rig.call("DELETE", f"/attachments/{claim}", moorage_generation="7"), f"attachment {claim}"


def held_by_server(rig: Rig) -> tuple[Reply, str]:
    id = rig.volume()
    claim = rig.attach(id, "nova", "11111111-1111-4111-8111-111111111111", nbd=True, host="h")["id"]
    return rig.call("DELETE", f"/attachments/{claim}"), f"attachment {claim}"


def type_in_use(rig: Rig) -> tuple[Reply, str]:
    asked = {"volume_type": {"name": "used"}}
    type = rig.call("POST", "/types", asked, "admin").json["volume_type"]["id"]
    id = rig.volume(volume_type="used")
    return rig.call("DELETE", f"/types/{type}", as_="admin"), f"volume {id}"


def type_name_taken(rig: Rig) -> tuple[Reply, str]:
    asked = {"volume_type": {"name": "taken"}}
    type = rig.call("POST", "/types", asked, "admin").json["volume_type"]["id"]
    return rig.call("POST", "/types", asked, "admin"), f"volume-type {type}"


def qos_in_use(rig: Rig) -> tuple[Reply, str]:
    type = rig.call("POST", "/types", {"volume_type": {"name": "q"}}, "admin").json["volume_type"]["id"]
    qos = rig.call("POST", "/qos-specs", {"qos_specs": {"name": "s"}}, "admin").json["qos_specs"]["id"]
    assert rig.call("GET", f"/qos-specs/{qos}/associate?vol_type_id={type}", as_="admin").status == 202
    return rig.call("DELETE", f"/qos-specs/{qos}", as_="admin"), f"volume-type {type}"


REFUSALS: tuple[Scene, ...] = (
    delete_attached,
    extend_attached,
    extend_busy,
    attach_twice,
    attach_busy,
    readonly_attached,
    copy_attached,
    metadata_in_maintenance,
    image_metadata_in_maintenance,
    second_connector,
    stale_holder,
    held_by_server,
    type_in_use,
    type_name_taken,
    qos_in_use,
)


@pytest.mark.parametrize("scene", REFUSALS, ids=lambda scene: scene.__name__)
def test_a_refusal_names_who_is_in_the_way(rig: Rig, scene: Scene) -> None:
    reply, named = scene(rig)
    assert 400 <= reply.status < 410, reply.body
    assert named in reply.message.partition(" In the way: ")[2], reply.message


def test_who_may_not_see_it_is_not_told(rig: Rig) -> None:
    """The operation of somebody else that is in the way is not named."""
    id = rig.volume()
    operation = busy(rig, id)
    with rig.database.write() as tx:
        tx.change(operations, operation, {"project_id": "0" * 32})
    assert operation not in create(rig, id).message
    assert operation in rig.call("POST", "/attachments", {"attachment": {"volume_uuid": id}}, "admin").message


def test_of_many_some_are_named_and_the_rest_counted(rig: Rig) -> None:
    id = rig.volume(volume_type="multiattach")
    for _ in range(13):
        rig.attach(id)
    message = rig.call("DELETE", f"/volumes/{id}").message
    assert message.count("attachment ") == 10
    assert message.endswith(" and 3 more.")
