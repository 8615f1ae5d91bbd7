"""
Upload an image: the request that brings the bytes carries it out itself, and they go straight into a store.
"""

from collections.abc import Mapping
from typing import Any

from moorage.database import Transaction
from moorage.flows.images.incoming.reception import DEADLINE_S, Asked, Reception, settle
from moorage.flows.images.stores import store_for, store_of
from moorage.images import receiving
from moorage.images.allowance import Room
from moorage.images.content.intake import Intake, Taken
from moorage.images.signatures.signature import Witness, witness
from moorage.images.signatures.signed import claims
from moorage.images.store import Store
from moorage.operations.flow import Flow, Work
from moorage.operations.hold import received


def discard(work: Work) -> None:
    """No bytes are left of the upload."""
    store_of(work.rooms, work.input["store"]).delete(work.input["object"])


UPLOAD_IMAGE = Flow(
    "upload-image", (received("receive", undo=discard),), settle=settle, deadline_s=DEADLINE_S, cancellable=True
)


class Upload(Reception[Taken]):
    """One upload into a store."""

    flow = UPLOAD_IMAGE
    _witness: Witness | None = None

    def _prepare(self, tx: Transaction) -> tuple[Mapping[str, Any], str, Store]:
        room = Room(self._settings, stored=self._asked.size)
        image = receiving.begin(tx, self._caller, self.image_id, self._operation, room=room)
        self._witness = witness(claims(tx, self.image_id), self._rooms.certificates)
        store = store_for(tx, self._rooms, self._caller, self._asked.store, self._asked.base)
        return image, f"images/{self.image_id}/{self._operation}-1", self._rooms.stores[store]

    def _learning(self, image: Mapping[str, Any]) -> Intake:
        return Intake(
            image["disk_format"],
            image["container_format"],
            size=self._asked.size,
            size_limit=self._size_limit,
            os_hash_algo=self._settings.hash_algorithm,
            largest_disk_bytes=self._settings.largest_disk,
            witness=self._witness,
        )

    def _enter(self, tx: Transaction, learnt: Taken) -> None:
        assert self._store is not None
        places = {self._store.id: self._object}
        receiving.complete(tx, self.image_id, self._operation, learnt, places, self._caller.request_id)


__all__ = ["UPLOAD_IMAGE", "Asked", "Upload"]
