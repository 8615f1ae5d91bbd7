"""
Compute the hashes of an image that is active already: all of its bytes are read once, at a set rate, and looked at as
an upload's are. Killed, it begins anew; deleted with its image.

Bytes that are not what was said of them take the image out of use: it is deactivated, with the reason in its events.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from moorage.core.caller import NOBODY
from moorage.core.errors import Malformed, TooLarge
from moorage.database import Transaction
from moorage.flows.images.stores import by_weight, store_of
from moorage.flows.turns import turn
from moorage.images import location, unhashed
from moorage.images.content.formats import ContentRefused
from moorage.images.content.intake import Intake, Taken
from moorage.images.image import FILLED
from moorage.images.records import images
from moorage.operations import journal
from moorage.operations.flow import After, Flow, Step, Work

KIND = "hash-image"
DEADLINE_S = 30 * 86400.0
RETRIES = 1 << 30  #: a store that is away is waited for, as long as the image is there
MIB = 1 << 20
LONGEST_NAP_S = 0.5


def begin(tx: Transaction, image: Mapping[str, Any], queue: str, algorithm: str) -> str:
    """Begin to compute the hashes of the image, in the transaction that makes it active."""
    return journal.begin(
        tx,
        KIND,
        "image",
        image["id"],
        queue=queue,
        project_id=image["owner"],
        input={"hash_algorithm": algorithm},
        caller=NOBODY,
        deadline_s=DEADLINE_S,
    )


def compute(work: Work) -> Mapping[str, Any] | After:
    """The image says what was computed from its bytes."""
    with work.rooms.database.read() as tx:
        image = tx.get(images, work.resource_id)
        places = location.objects(tx, work.resource_id)
    if image is None or image["state"] not in FILLED or image["checksum"] is not None or not places:
        return {}
    waiting = turn(work, KIND)
    if waiting is not None:
        return waiting
    store = by_weight(work.rooms, places)[0]
    try:
        taken = read(work, image, store, places[store], work.input["hash_algorithm"])
    except (ContentRefused, Malformed, TooLarge) as problem:
        with work.transaction() as tx:
            unhashed.distrust(tx, work.resource_id, problem.sentence)
        return {"refused": problem.sentence}
    with work.transaction() as tx:
        unhashed.learn(tx, work.resource_id, taken)
    return {"size": taken.size}


def read(work: Work, image: Mapping[str, Any], store: str, name: str, algorithm: str) -> Taken:
    """What is learnt of the image's bytes in one pass over them, not faster than the settings say."""
    settings = work.rooms.settings.images
    intake = Intake(
        image["disk_format"],
        image["container_format"],
        size=image["size"],
        size_limit=settings.size_cap,
        os_hash_algo=algorithm,
        largest_disk_bytes=settings.largest_disk,
    )
    pace = Pace(settings.hash_rate_mib, work.check)
    for chunk in store_of(work.rooms, store).open(name):
        intake.feed(chunk)
        pace.passed(len(chunk))
    return intake.finish()


class Pace:
    """Keeps who calls `passed` at `rate_mib` MiB a second on the whole; 0 is as fast as it goes."""

    def __init__(
        self,
        rate_mib: int,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate_bytes, self._check, self._clock, self._sleep = rate_mib * MIB, check, clock, sleep
        self._due = clock()

    def passed(self, count: int) -> None:
        """Come back when more may pass; raises what ends the work."""
        self._check()
        if not self._rate_bytes:
            return
        self._due = max(self._due, self._clock() - LONGEST_NAP_S) + count / self._rate_bytes
        while (ahead := self._due - self._clock()) > 0:
            self._sleep(min(ahead, LONGEST_NAP_S))
            self._check()


HASH_IMAGE = Flow(KIND, (Step("hash", compute),), deadline_s=DEADLINE_S, retries=RETRIES)

__all__ = ["HASH_IMAGE", "KIND", "Pace", "begin", "read"]
