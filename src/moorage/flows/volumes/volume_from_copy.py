"""
Make a volume from an image that is in none of the stores on which volumes of the backend can lie.

It lies on a copy that fills while it is read: usable at once, whatever the size.  Of images whose digests nobody knows,
no part can be verified alone; the copy is then awaited.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Conflict
from moorage.database import Transaction
from moorage.flows.volumes import convert_image, hydrate_copy
from moorage.flows.volumes.stored_layers import let_go
from moorage.flows.volumes.volume_ends import made
from moorage.flows.volumes.volume_layers import GIB, backend_of, fresh, give_head, take_back_head, volume_of
from moorage.images.outgoing import Usable
from moorage.operations.flow import After, Flow, Step, Work
from moorage.volumes import copies, layers, volume
from moorage.volumes.errors import InvalidInput
from moorage.volumes.volume import New, Rules

AT_ONCE, LATER = "volume-from-copy", "volume-from-download"
PATIENCE_S = 7 * 86400.0


def begin(
    tx: Transaction,
    caller: Caller,
    image: Usable,
    store: str,
    asked: New,
    rules: Rules,
    *,
    foreign: bool = False,
    key: str | None = None,
) -> Mapping[str, Any]:
    """Begin to make a volume of an image in `store`; the image's row and the project's quota are locked already."""
    copy = copies.usable(tx, asked.backend, image.id)
    copy = copy or hydrate_copy.begin(tx, image, asked.backend, asked.host, store)
    row = volume.enter(tx, caller, replace(asked, base=copy["layer"]), rules)
    kind = convert_image.KIND if foreign else LATER if copy["state"] == copies.State.AWAITED else AT_ONCE
    facts = {"size_gib": asked.size_gib, "format": image.read_as or image.disk_format, "store": copy["store"]}
    volume.begin(tx, kind, row, caller, facts, key=key, deadline_s=PATIENCE_S)
    return row


def _copy(work: Work) -> Mapping[str, Any]:
    row = volume_of(work)
    with work.rooms.database.read() as tx:
        copy = copies.of(tx, row["base"])
    if copy is None:
        raise Conflict(reason=f"The copy that volume {work.resource_id} was to lie on is gone.")
    return copy


def prime(work: Work) -> Mapping[str, Any]:
    """What is read whenever the copy is opened is there; the rest can follow."""
    if volume_of(work)["head"] is not None:
        return {}
    copy = _copy(work)
    if copy["state"] == copies.State.WHOLE:
        return {"bytes": 0, "whole": True}
    hydrate_copy.make(work, copy)
    with work.rooms.database.read() as tx:
        layer = layers.chain(tx, copy["layer"])
    return {"bytes": backend_of(work).prime_copy(layer), "whole": False}


def download(work: Work) -> Mapping[str, Any] | After:
    """The copy is whole."""
    if volume_of(work)["head"] is not None:
        return {}
    copy = _copy(work)
    return hydrate_copy.awaited(work, copy["layer"]) or {"bytes": copy["size_bytes"]}


def head(work: Work) -> Mapping[str, Any]:
    """The volume's head lies on the copy."""
    row = volume_of(work)
    if row["head"] is not None:
        return {"layer": row["head"]}
    copy = _copy(work)
    with work.rooms.database.read() as tx:
        below = layers.chain(tx, copy["layer"])
    if below.size > work.input["size_gib"] * GIB:  # of an image that nobody had looked at before
        raise InvalidInput(reason=f"Size of specified image {-(-below.size // GIB)}GB is larger than volume size.")
    layer = fresh(work, work.input["size_gib"] * GIB, below)
    give_head(work, layer, *_path(work))
    return {"layer": layer.name}


def _path(work: Work) -> tuple[str, int, str | None]:
    """How the volume came to be: the path, the bytes that were moved for it, and why it was not a faster one."""
    store = work.input["store"]
    if (fetched := work.results.get("download")) is not None:
        why = f"The digests of the image in store {store} were not known: all of it was read and hashed first."
        return "downloaded", fetched["bytes"], why
    primed = work.results["prime"]
    if primed["whole"]:
        return "overlay", 0, None
    why = f"No volume can lie on what is in store {store}: its bytes come when they are read, and the rest in time."
    return "lazy", primed["bytes"], why


_HEAD = Step("head", head, undo=take_back_head)

VOLUME_FROM_COPY = Flow(AT_ONCE, (Step("prime", prime, undo=let_go), _HEAD), settle=made, cancellable=True, retries=9)
VOLUME_FROM_DOWNLOAD = Flow(LATER, (Step("download", download, undo=let_go), _HEAD), settle=made, cancellable=True)
