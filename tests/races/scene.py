"""One Block Storage on a tripwire, and the calls of its clients in few words."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from moorage.volumes import quota
from moorage.volumes.records import attachments
from tests.races.tripwire import PATIENCE_S, Tripwire
from tests.volumes.rig import DEMO, Reply, Rig, running

ROUNDS = 4  #: how often two calls are made to meet
FIRST, SECOND = "1" * 8 + "-0000-4000-8000-" + "1" * 12, "2" * 8 + "-0000-4000-8000-" + "2" * 12


class Scene:
    """A rig; what is asked of it, by whom."""

    def __init__(self, rig: Rig, backend: Tripwire) -> None:
        self.rig, self.backend = rig, backend

    def volume(self, **asked: Any) -> str:
        return self.rig.volume(**asked)

    def shared(self) -> str:
        return self.rig.volume(volume_type="multiattach")

    def create(
        self,
        volume: str,
        host: str | None = None,
        instance: str | None = None,
        mode: str | None = None,
        as_: str = "demo",
    ) -> Reply:
        connector = {"host": host, "nbd": True} if host else None
        asked = {"volume_uuid": volume, "instance_uuid": instance, "mode": mode, "connector": connector}
        body = {name: value for name, value in asked.items() if value is not None}
        return self.rig.call("POST", "/attachments", {"attachment": body}, as_)

    def made(self, volume: str, host: str | None = None, instance: str | None = None, **more: Any) -> str:
        """The id of a new attachment."""
        reply = self.create(volume, host, instance, **more)
        assert reply.status == 200, reply.body
        return str(reply.json["attachment"]["id"])

    def attached(self, volume: str, host: str | None = None, instance: str | None = None, **more: Any) -> str:
        """The id of a new attachment that is complete."""
        id = self.made(volume, host, instance, **more)
        assert self.complete(id).status == 204
        return id

    def update(self, id: str, host: str, as_: str = "demo") -> Reply:
        body = {"attachment": {"connector": {"host": host, "nbd": True}}}
        return self.rig.call("PUT", f"/attachments/{id}", body, as_)

    def complete(self, id: str, as_: str = "demo") -> Reply:
        return self.rig.call("POST", f"/attachments/{id}/action", {"os-complete": None}, as_)

    def delete(self, id: str, as_: str = "nova") -> Reply:
        return self.rig.call("DELETE", f"/attachments/{id}", as_=as_)

    def show(self, id: str, as_: str = "demo") -> Reply:
        return self.rig.call("GET", f"/attachments/{id}", as_=as_)

    def delete_volume(self, id: str, as_: str = "demo") -> Reply:
        return self.rig.call("DELETE", f"/volumes/{id}", as_=as_)

    def extend(self, id: str, size_gib: int, as_: str = "demo") -> Reply:
        return self.rig.call("POST", f"/volumes/{id}/action", {"os-extend": {"new_size": size_gib}}, as_)

    def reset(self, id: str, status: str) -> Reply:
        return self.rig.call("POST", f"/volumes/{id}/action", {"os-reset_status": {"status": status}}, "admin")

    def status(self, volume: str) -> str:
        return self.rig.status(volume)

    def state(self, id: str) -> str:
        """The state of an attachment, as its row has it, over or not."""
        return str(self.row(id)["state"])

    def row(self, id: str) -> Any:
        with self.rig.database.read() as tx:
            return tx.one(select(attachments).where(attachments.c.id == id))

    def rows(self, volume: str) -> list[Any]:
        """The volume's attachments that are not over."""
        with self.rig.database.read() as tx:
            c = attachments.c
            return list(tx.all(select(attachments).where(c.volume_id == volume, c.state != "detached")))

    def quota(self) -> tuple[dict[str, int], dict[str, int]]:
        """What demo is charged, and what it has."""
        with self.rig.database.read() as tx:
            return quota.usage(tx, DEMO), quota.recount(tx, DEMO)

    def clear(self) -> None:
        """Let go of all volumes, so that nothing is served."""
        with self.rig.database.read() as tx:
            c = attachments.c
            held = {row["volume_id"] for row in tx.all(select(c.volume_id).where(c.state != "detached"))}
        for volume in held:
            assert self.reset(volume, "available").status == 202
        assert self.backend.survey() == {}

    @contextmanager
    def during(self, verb: str, call: Callable[[], Reply]) -> Iterator["Future[Reply]"]:
        """Within the block the backend stands still in `verb`, to which `call` has brought it."""
        with ThreadPoolExecutor(1) as pool:
            with self.backend.standing(verb) as come:
                under_way = pool.submit(call)
                assert come.wait(PATIENCE_S), under_way
                yield under_way
            under_way.result(PATIENCE_S)


def at_once(*calls: Callable[[], Reply]) -> list[Reply]:
    """What the calls are answered, which all begin at the same moment."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], Reply]) -> Reply:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def codes(replies: Sequence[Reply]) -> list[int]:
    return sorted(reply.status for reply in replies)


@contextmanager
def playing(url: str, state: Path, **configured: Any) -> Iterator[Scene]:
    backend = Tripwire()
    with running(url, state, backend=backend, **configured) as rig:
        yield Scene(rig, backend)
