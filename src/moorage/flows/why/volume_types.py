"""Why a volume type is as it is: who uses it."""

from sqlalchemy import func, select

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why.answer import MOST, NothingOfThatKind, Part, Why, since
from moorage.volumes import volume_type
from moorage.volumes.errors import TypeNotFound
from moorage.volumes.records import volumes

#: Events that are a change of it.
CHANGES = ("volume-type.created", "volume-type.changed")


def why(tx: Transaction, caller: Caller, id: str) -> Why:
    """Which volumes are of the type; those that the caller does not see are counted where he may know of all."""
    try:
        row = volume_type.visible(tx, caller, id)
    except TypeNotFound:
        raise NothingOfThatKind(kind="volume-type", id=id[:64]) from None
    state = "public" if row["is_public"] else "private"
    c = volumes.c
    its = c.type_id == id
    if not caller.is_admin:
        its &= c.project_id == caller.project_id
    count = int(tx.value(select(func.count()).select_from(volumes).where(its)))
    whose = "" if caller.is_admin else " of your project"
    said = f"{count} volume{'' if count == 1 else 's'}{whose} {'is' if count == 1 else 'are'} of it."
    answer = Why("volume-type", id, state, since(tx, "volume-type", row, CHANGES), said)
    for volume in tx.all(select(c.id, c.status).where(its).order_by(c.created_at, c.id).limit(MOST)):
        answer.blockers.append(Part("volume", volume["id"], f"It is of this type, and {volume['status']}."))
    return answer
