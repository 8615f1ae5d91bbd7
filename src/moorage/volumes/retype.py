"""
Retypes: a volume gets another type, and with it what a type says, without any of its bytes being moved.

The type, the flag that says whether several may use it, and the quota change together or not at all, with the volume
locked: whoever attaches it sees either all of the old type or all of the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.database import Transaction
from moorage.volumes import qos, quota, volume, volume_type
from moorage.volumes.attachments import attachment
from moorage.volumes.backend import Traits
from moorage.volumes.errors import InvalidInput
from moorage.volumes.volume import size_fits_type


@dataclass(frozen=True)
class Target:
    """The type that is asked for, and where volumes of it are kept."""

    type: Mapping[str, Any]
    backend: str
    traits: Traits | None  #: of that backend; None where this process does not hold it


def retype(tx: Transaction, row: Mapping[str, Any], to: Target, defaults: Mapping[str, int]) -> None:
    """Give the locked volume `row`, its project's quota locked too, the type `to`."""
    was, specs = volume_type.by_id(tx, row["type_id"]), to.type["extra_specs"]
    shared = volume_type.is_true(specs.get(volume_type.MULTIATTACH))
    in_the_way = volume.blockers(tx, row)
    attached = bool(attachment.held(tx, row["id"]))
    idle = row["migration_status"] in (None, "deleting", "error", "success")
    same_qos = not attached or _at_the_front(tx, was) == _at_the_front(tx, to.type)
    if row["status"] not in ("available", "in-use") or not idle or to.type["id"] == was["id"] or not same_qos:
        raise InvalidInput(
            reason="Retype needs volume to be in available or in-use state, not be part of an active migration or a "
            "consistency group, requested type has to be different that the one from the volume, and for in-use "
            "volumes front-end qos specs cannot change.",
            blockers=in_the_way,
        )
    if shared != row["multiattach"] and attached:
        raise InvalidInput(
            reason="Whether several may attach a volume cannot change while it is attached: it must be available.",
            blockers=in_the_way,
        )
    if shared and to.traits is not None and not to.traits.multiattach:
        raise InvalidInput(reason=f"The backend {to.backend} cannot attach a volume more than once.")
    if to.backend != row["backend"]:
        raise InvalidInput(
            reason=f"Volumes of type {to.type['name']} are kept in the backend {to.backend}, this one is in "
            f"{row['backend']}: it would have to be migrated, which this release does not do."
        )
    size_fits_type(row["size_gib"], specs)
    if row["consumes_quota"]:
        quota.move(tx, row["project_id"], was["id"], to.type["id"], gigabytes=row["size_gib"], defaults=defaults)
    volume.change(tx, row, {"type_id": to.type["id"], "multiattach": shared})


def _at_the_front(tx: Transaction, type: Mapping[str, Any]) -> Mapping[str, str]:
    """The limits that whoever attaches a volume of the type is told."""
    if type["qos_id"] is None:
        return {}
    specs = qos.find(tx, type["qos_id"])
    told: Mapping[str, str] = {} if specs["consumer"] == "back-end" else specs["specs"]
    return told
