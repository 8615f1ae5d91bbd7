"""
Block Storage, as a store asks it: volumes with what is written on them, and attachments of our own.

Our own Block Storage is asked once for anything: it does not disturb siblings. Another one's two refusals to attach a
volume that others are just attaching are met with growing pauses.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from moorage.client.wire import ClientError, Refusal
from moorage.core.errors import Conflict
from moorage.images.store import StoreFull, StoreUnavailable

VERSION = "3.54"  #: attachments have modes
LEASE_S = 30  #: our own Block Storage takes an attachment away that nobody has renewed for so long
PAGE = 500
TRANSITIONAL = ("creating", "downloading", "extending", "attaching", "detaching", "reserved", "uploading")
#: What a refusal says that passes by itself: another attachment of the volume is just being made.
PASSING = (
    "status must be available or downloading to reserve",
    "status must be available or in-use or downloading to reserve",
)
PAUSES_S = (2.0, 4.0, 8.0, 10.0)

Volume = Mapping[str, Any]


class StoreBusy(Conflict):
    """The data of the image is in use in store {store}: {why}"""

    code = "store.busy"


class VolumeUnfit(StoreUnavailable):
    """The volume {volume} in store {store} is {status}, and cannot be used."""

    code = "store.volume-unfit"


class Session(Protocol):
    """Who asks: the caller's token, the service's address. Raises `ClientError`."""

    def ask(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any: ...


class BlockStorage:
    """The Block Storage that one store keeps its volumes in."""

    def __init__(
        self, store: str, session: Session, *, ours: bool, patience_s: float = 300.0, attach_tries: int = 5
    ) -> None:
        self.ours, self._store, self._session = ours, store, session
        self._patience_s, self._tries = patience_s, attach_tries
        self._sleep: Callable[[float], None] = time.sleep

    def check(self, type: str) -> None:
        """Raise `StoreUnavailable` where volumes of `type` cannot be made, or would not be of use."""
        types = self._ask("GET", "/types")["volume_types"]
        if not type:
            return
        found = [row for row in types if type in (row["name"], row["id"])]
        if not found:
            raise StoreUnavailable(store=self._store, why=f"there is no volume type {type}")
        if self.ours and "true" not in str(found[0]["extra_specs"].get("multiattach", "")).lower():
            why = f"volumes of the type {type} can be read by one process only; the type must allow multi-attach"
            raise StoreUnavailable(store=self._store, why=why)

    def find(self, id: str) -> Volume | None:
        """The volume; None where there is none."""
        found = self._ask("GET", f"/volumes/{id}", missing=None)
        return dict(found["volume"]) if found else None

    def called(self, name: str) -> list[Volume]:
        """The volumes of that name."""
        return [row for row in self._pages({"name": name}) if row["name"] == name]

    def marked(self, key: str, value: str) -> list[Volume]:
        """The volumes that have this in their metadata."""
        rows = self._pages({"metadata": str({key: value})})
        return [row for row in rows if row["metadata"].get(key) == value]

    def _pages(self, query: Mapping[str, str]) -> Iterator[Volume]:
        marker: Mapping[str, str] = {}
        while True:
            asked = urlencode({**query, "limit": str(PAGE), **marker})
            rows = self._ask("GET", f"/volumes/detail?{asked}")["volumes"]
            yield from rows
            if len(rows) < PAGE:
                return
            marker = {"marker": rows[-1]["id"]}

    def create(
        self, name: str, size_gib: int, type: str, metadata: Mapping[str, str], source: str | None = None
    ) -> str:
        """The id of a new volume, blank or with what the volume `source` holds, which may take a while."""
        asked = {"name": name, "size": size_gib, "metadata": dict(metadata)}
        asked |= {"source_volid": source} if source else {}
        body = {"volume": {**asked, **({"volume_type": type} if type else {})}}
        return str(self._ask("POST", "/volumes", body)["volume"]["id"])

    def settled(self, id: str, wanted: str = "available") -> Volume:
        """The volume, once nothing is being done to it; `VolumeUnfit` where it is not `wanted` then."""
        until, pause_s = time.monotonic() + self._patience_s, 0.005 if self.ours else 0.25
        while True:
            row = self.find(id)
            status = row["status"] if row else "deleted"
            if row is not None and status == wanted:
                return row
            if status not in TRANSITIONAL or time.monotonic() > until:
                raise VolumeUnfit(volume=id, store=self._store, status=status)
            self._sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.25 if self.ours else 3.0)

    def extend(self, id: str, size_gib: int) -> None:
        """The volume, attached to nobody, is that large."""
        self._act(id, "os-extend", {"new_size": size_gib})
        self.settled(id)

    def protect(self, id: str) -> None:
        """Nobody can write to the volume, attached to nobody, any more."""
        self._act(id, "os-update_readonly_flag", {"readonly": True})

    def write_down(self, id: str, metadata: Mapping[str, str]) -> bool:
        """The volume's metadata says this, too; whether there is such a volume."""
        answer = self._ask("POST", f"/volumes/{id}/metadata", {"metadata": dict(metadata)}, missing=None)
        return answer is not None

    def delete(self, id: str) -> None:
        """The volume is being deleted; gone is fine. `StoreBusy` where somebody is in the way."""
        try:
            self._ask("DELETE", f"/volumes/{id}", missing=None)
        except StoreUnavailable as problem:
            refusal = problem.__cause__
            if isinstance(refusal, Refusal) and refusal.status in (400, 409):
                row = self.find(id)
                if row is None or row["status"] == "deleting":
                    return
                raise StoreBusy(store=self._store, why=str(refusal)) from refusal
            raise

    def attachments(self, id: str) -> list[Mapping[str, Any]]:
        """The attachments of the volume, in detail."""
        found = self._ask("GET", f"/attachments/detail?{urlencode({'volume_id': id})}")
        return [dict(row) for row in found["attachments"]]

    def reserve(self, id: str, mode: str) -> str:
        """The id of a new attachment of the volume."""
        body = {"attachment": {"volume_uuid": id, "mode": mode}}
        for attempt in range(self._tries - 1 if not self.ours else 0):
            try:
                return str(self._ask("POST", "/attachments", body)["attachment"]["id"])
            except StoreUnavailable as problem:
                refusal = problem.__cause__
                passing = isinstance(refusal, Refusal) and refusal.status == 400
                if not passing or not any(text in str(refusal).lower() for text in PASSING):
                    raise
            self._sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
        return str(self._ask("POST", "/attachments", body)["attachment"]["id"])

    def connect(self, attachment: str, connector: Mapping[str, Any]) -> Mapping[str, Any]:
        """How the attachment's holder, who is where `connector` says, reaches it."""
        body = {"attachment": {"connector": dict(connector)}}
        answer = self._ask("PUT", f"/attachments/{attachment}", body, headers=self._lease)
        return dict(answer["attachment"]["connection_info"])

    def attach(self, id: str, mode: str, connector: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """A new attachment, and how its holder reaches it, in one call; if that fails, there is none."""
        asked = {"volume_uuid": id, "mode": mode, "connector": dict(connector)}
        found = self._ask("POST", "/attachments", {"attachment": asked}, headers=self._lease)["attachment"]
        return str(found["id"]), dict(found["connection_info"])

    def complete(self, attachment: str) -> None:
        """The holder sees the volume; where there are leases, his is a full term from now. Twice is fine."""
        self._ask("POST", f"/attachments/{attachment}/action", {"os-complete": {}}, headers=self._lease)

    def detach(self, attachment: str) -> None:
        """End the attachment. Gone is fine."""
        self._ask("DELETE", f"/attachments/{attachment}", missing=None)

    @property
    def _lease(self) -> Mapping[str, str]:
        return {"Moorage-Lease": str(LEASE_S)} if self.ours else {}

    def _act(self, id: str, action: str, asked: Mapping[str, Any]) -> None:
        self._ask("POST", f"/volumes/{id}/action", {action: dict(asked)})

    def _ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, missing: Any = ...
    ) -> Any:
        """The answer; `missing`, where that is given and there is no such thing."""
        try:
            return self._session.ask("block-storage", method, path, body, version=VERSION, headers=headers)
        except Refusal as refusal:
            if refusal.status == 404 and missing is not ...:
                return missing
            if refusal.status == 413:
                raise StoreFull(store=self._store) from refusal
            raise StoreUnavailable(store=self._store, why=str(refusal)) from refusal
        except ClientError as problem:
            raise StoreUnavailable(store=self._store, why=str(problem)) from problem
