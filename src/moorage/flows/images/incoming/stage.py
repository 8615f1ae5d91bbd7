"""
Stage an image: its bytes come in, are looked at, and wait outside of all stores to be imported.

They are hashed when they are imported, not here. Where imports transform what comes in, it is not looked at here
either: it need not be yet what it is declared to be.
"""

from collections.abc import Mapping
from typing import Any

from moorage.database import Transaction
from moorage.flows.images.clear import staging_of
from moorage.flows.images.incoming.reception import DEADLINE_S, Reception, settle
from moorage.images import allowance, receiving
from moorage.images.allowance import Room
from moorage.images.content.intake import Measure, Measured
from moorage.images.imports import staging
from moorage.images.store import Store
from moorage.operations.flow import Flow, Work
from moorage.operations.hold import received


def discard(work: Work) -> None:
    """No bytes are left of the try."""
    name = work.input["object"]
    staging_of(work.rooms).delete(name)
    with work.transaction() as tx:
        staging.forget(tx, [name])


STAGE_IMAGE = Flow(
    "stage-image", (received("receive", undo=discard),), settle=settle, deadline_s=DEADLINE_S, cancellable=True
)


class Stage(Reception[Measured]):
    """One upload into the staging area."""

    flow = STAGE_IMAGE

    def _prepare(self, tx: Transaction) -> tuple[Mapping[str, Any], str, Store]:
        room = Room(self._settings, staged=self._asked.size)
        image = receiving.begin(tx, self._caller, self.image_id, self._operation, event="stage", room=room)
        name = staging.name_of(self.image_id, f"{self._operation}-1")
        staging.expect(tx, self.image_id, name, self._operation, self._asked.size)
        return image, name, staging_of(self._rooms)

    def _learning(self, image: Mapping[str, Any]) -> Measure:
        look = not self._rooms.transformations
        return Measure(
            image["disk_format"] if look else None,
            image["container_format"] if look else None,
            size=self._asked.size,
            size_limit=self._size_limit,
            largest_disk_bytes=self._settings.largest_disk,
        )

    def _enter(self, tx: Transaction, learnt: Measured) -> None:
        allowance.adjust(tx, self._operation, staged=learnt.size)
        receiving.hold_still(tx, self.image_id, self._operation, learnt.size)
        staging.arrive(tx, self._object, learnt.size)
