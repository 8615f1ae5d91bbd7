"""What the first start makes of volumes: the types that there always are."""

from sqlalchemy import select

from moorage.database import Transaction
from moorage.volumes import volume_type
from moorage.volumes.records import volume_types
from moorage.volumes.settings import VolumeSettings

MULTIATTACH_TYPE = "multiattach"


def bootstrap(tx: Transaction, settings: VolumeSettings | None = None) -> None:
    """Make the default type and the multi-attach type where there is no type yet."""
    if tx.one(select(volume_types.c.id).limit(1)) is not None:
        return
    name = (settings or VolumeSettings()).default_type
    volume_type.create(tx, name, "One user at a time", True, {})
    if name != MULTIATTACH_TYPE:
        specs = {volume_type.MULTIATTACH: "<is> True"}
        volume_type.create(tx, MULTIATTACH_TYPE, "Several users at once", True, specs)
