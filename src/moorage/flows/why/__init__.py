"""
Why: for any resource, what it is and since when, which operation has it, who is in the way, and what happens next.

It only tells what rows say and which stores are down, and names only what the caller may see. What the caller may do is
not told here: it is tried, by the calls themselves (`api.moorage.trial`).
"""

from collections.abc import Callable, Mapping

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.rooms import Rooms
from moorage.flows.why import attachments, hosts, images, operations, stores, volume_types, volumes
from moorage.flows.why.answer import Owner, Part, Why

_OF_ROWS: Mapping[str, Callable[[Transaction, Caller, str], Why]] = {
    "volume": volumes.why,
    "attachment": attachments.why,
    "image": images.why,
    "volume-type": volume_types.why,
    "operation": operations.why,
    "host": hosts.why,
}


KINDS = frozenset({*_OF_ROWS, "store"})


def why(tx: Transaction, caller: Caller, kind: str, id: str, rooms: Rooms | None = None) -> Why:
    """Why the resource is as it is."""
    if kind == "store" and rooms is not None:
        return stores.why(tx, caller, id, rooms)
    answer = _OF_ROWS[kind](tx, caller, id)
    if kind == "image" and rooms is not None:
        stores.hold_up(tx, answer, rooms)
    return answer


__all__ = ["KINDS", "Owner", "Part", "Why", "why"]
