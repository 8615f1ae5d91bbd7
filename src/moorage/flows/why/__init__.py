"""
Why: for any resource, what it is and since when, which operation has it, who is in the way, and what happens next.

It only tells what rows say, and names only what the caller may see. What the caller may do is not told here: it is
tried, by the calls themselves (`api.moorage.trial`).
"""

from collections.abc import Callable, Mapping

from moorage.core.caller import Caller
from moorage.database import Transaction
from moorage.flows.why import attachments, hosts, images, operations, volume_types, volumes
from moorage.flows.why.answer import Owner, Part, Why

KINDS: Mapping[str, Callable[[Transaction, Caller, str], Why]] = {
    "volume": volumes.why,
    "attachment": attachments.why,
    "image": images.why,
    "volume-type": volume_types.why,
    "operation": operations.why,
    "host": hosts.why,
}


def why(tx: Transaction, caller: Caller, kind: str, id: str) -> Why:
    """Why the resource is as it is."""
    return KINDS[kind](tx, caller, id)


__all__ = ["KINDS", "Owner", "Part", "Why", "why"]
