"""
The generation of an attachment: how often somebody has taken it over, and the fencing token of its holder.

It grows whenever another door is asked for, and when its data plane dies under it. The door of a generation is closed
before that of the next one opens; a caller who says which one he holds is refused once that is over.
"""

from collections.abc import Mapping
from typing import Any

from moorage.core.errors import Blocker, Conflict, Malformed

HEADER = "moorage-generation"


class Superseded(Conflict):
    """Attachment {id} is in generation {generation} now, and {mine} is over: {reason}"""

    code = "attachment.superseded"


def check(claim: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raise `Superseded` where the caller names a generation that is not that of the locked attachment `claim`."""
    mine = headers.get(HEADER)
    if mine is None:
        return
    if not mine.isascii() or not mine.isdigit() or len(mine) > 18:
        raise Malformed(reason="Moorage-Generation must be the number that an answer about the attachment carried.")
    if int(mine) != claim["generation"]:
        reason = claim["problem"] or "somebody else was given a door to it."
        raise Superseded(
            id=claim["id"], generation=claim["generation"], mine=int(mine), reason=reason, blockers=_now(claim)
        )


def _now(claim: Mapping[str, Any]) -> tuple[Blocker, ...]:
    return (Blocker("attachment", claim["id"], claim["project_id"]),)


def shown(claim: Mapping[str, Any]) -> dict[str, str]:
    """The header of an answer about the attachment."""
    return {HEADER: str(claim["generation"])}
