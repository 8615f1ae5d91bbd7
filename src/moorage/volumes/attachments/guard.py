"""
Who may take an attachment away that a server uses (CVE-2023-2088): the service that made it, an administrator, and its
owner where Compute says that the server does not use it.

A user who deletes the attachment of his server behind Compute's back leaves a device on the compute host that may show
somebody else's volume next. A service is known by its service token; its user without one is a user. What os-attach
made is not Compute's, which has asked for attachments by name for years.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.core.caller import Caller
from moorage.core.errors import Blocker, Unavailable
from moorage.volumes.compute import UNNAMED, Question, Word
from moorage.volumes.errors import HeldByServer

log = logging.getLogger(__name__)


class Unasked(Unavailable):
    """What Compute says of the server of attachment {id} has to be known first."""

    code = "attachment.compute-unasked"

    def __init__(self, question: Question) -> None:
        self.question = question
        super().__init__(id=question.attachment)


@dataclass(frozen=True)
class Grounds:
    """What the guard decides by: the setting for clouds without Compute, and what Compute has said so far."""

    no_compute: str
    said: tuple[tuple[Question, Word | None], ...] = ()


def passes(caller: Caller) -> bool:
    """Whether the caller may take away what a server uses."""
    return caller.is_admin or "service" in caller.service_roles


def check(row: Mapping[str, Any], caller: Caller, grounds: Grounds) -> None:
    """
    Raise `HeldByServer` where a server uses the attachment and the caller is neither a service nor an administrator;
    `Unasked` where Compute has said nothing of the attachment as it is now.
    """
    if not (row["instance_uuid"] and row["connection"]) or row["origin"] or passes(caller):
        return
    question = Question.of(row)
    words = [word for asked, word in grounds.said if asked == question]
    if not words:
        raise Unasked(question)
    if not _free(question, words[-1], caller, grounds.no_compute):
        raise HeldByServer(instance=question.instance, blockers=(Blocker("attachment", row["id"], row["project_id"]),))


def _free(question: Question, word: Word | None, caller: Caller, no_compute: str) -> bool:
    """Whether the server does not use the attachment, as far as anybody can know."""
    if word is None:
        return no_compute == "allow"
    if {question.attachment, UNNAMED} & word.attachments:
        return False
    log.warning(
        "attachment %s of volume %s is not in the way of user %s (%s): Compute says that its server %s uses %s",
        question.attachment,
        question.volume,
        caller.user_id,
        caller.request_id,
        question.instance,
        f"the volume by {', '.join(sorted(word.attachments))}" if word.attachments else "no such volume",
    )
    return True
