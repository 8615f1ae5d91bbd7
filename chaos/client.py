"""
A client: attaches, reads, checks, writes, flushes, detaches, makes and deletes volumes, over and over, until SIGTERM.

`python -m chaos.client FOLDER SLOT` runs one.  It may be killed or stopped at any moment; its next incarnation reads
the ledger, takes back what is left attached, and goes on.  One client does one thing at a time.
"""

import json
import random
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos import disk
from chaos.blocks import BLOCK, block, number, parts
from chaos.ledger import Ledger, Region
from chaos.wire import AGAIN, Answer, Unreachable, Wire

BLOCKS = 16  #: of each region
REVIVAL_S = 5.0
MOST_TROUBLES = 6
MOST_VOLUMES = 3  #: of a client's own
VOLUMES = "/volume/v3/volumes"
ATTACHMENTS = "/volume/v3/attachments"


class Interrupted(Exception):
    """The attachment came to an end that the client did not choose."""


class Client:
    """One slot's client."""

    def __init__(self, folder: Path, slot: int) -> None:
        self.plan: Mapping[str, Any] = json.loads((folder / "plan.json").read_text())
        self.slot, self.door = slot, str(self.plan["doors"][slot])
        self.ledger = Ledger(folder / f"ledger-{slot}")
        self.book = self.ledger.book
        self.instance = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.plan['run']}-{slot}"))
        self.chance = random.Random(f"{self.plan['seed']}-{slot}-{self.book.last_number}")
        ports, users = self.plan["ports"], self.plan["users"]
        vouching = Wire(ports, users["service"], timeout_s=20.0) if self.door == "tls" else None
        user = users["demo" if self.door == "tls" else "admin"]
        self.wire = Wire(ports, user, service=vouching, timeout_s=20.0, heard=self._heard)
        self.over = False

    def _heard(self, method: str, path: str, answer: Answer) -> None:
        if answer.status >= 400:
            self.ledger.note("refuse", f"{method} {path.split('?', maxsplit=1)[0]} {answer.status} {answer.sentence()}")

    def run(self) -> None:
        """Work until told to stop."""
        signal.signal(signal.SIGTERM, self._stop)
        self.sweep()
        self.finish_asked()
        for volume in self.plan["shared"]:
            if volume["id"] not in self.book.regions:
                place = self.slot * BLOCKS
                self.ledger.note("region", volume["id"], volume["careful"], place, True, 1)
        while not self.over:
            self.once()

    def _stop(self, *_: object) -> None:
        self.over = True

    def once(self) -> None:
        """One thing, of those that clients do."""
        own = [r for r in self.book.regions.values() if not r.shared and not r.gone]
        kind = self.chance.random()
        if kind < 0.06 and len(own) < MOST_VOLUMES:
            self.make(None)
        elif kind < 0.10 and 0 < len(own) < MOST_VOLUMES:
            self.make(self.chance.choice(own))
        elif kind < 0.13 and own:
            self.extend(self.chance.choice(own))
        elif kind < 0.16 and len(own) > 1:
            self.delete(self.chance.choice(own))
        elif kind < 0.40 and own:
            self.cycle(self.chance.choice(own))
        else:
            self.cycle(self.chance.choice([r for r in self.book.regions.values() if r.shared]))

    # ---- volumes of one's own

    def make(self, source: Region | None) -> None:
        """A new volume: blank, or a clone."""
        key = uuid.UUID(int=self.chance.getrandbits(128)).hex
        if source is not None:
            self.ledger.note("careless", source.volume)
        self.ledger.note("ask", key, source.volume if source else "")
        self._make(key, source)

    def _make(self, key: str, source: Region | None) -> None:
        asked = {"name": key, **({"source_volid": source.volume} if source else {"size": 1})}
        answer = self.wire.insist("POST", VOLUMES, {"volume": asked}, {"Moorage-Key": key})
        if answer.status == 202:
            id, size = answer.json["volume"]["id"], int(answer.json["volume"]["size"])
            if source is not None:
                self.ledger.note("clone", source.volume, id, size)
            else:
                self.ledger.note("region", id, True, 0, False, size)
            self.until(id, "available")
        self.ledger.note("made", key)

    def finish_asked(self) -> None:
        """What a former incarnation asked for is made and known, or deleted, by now."""
        for key, source in dict(self.book.asked).items():
            self._make(key, self.book.regions[source] if source else None)
        for region in [r for r in self.book.regions.values() if r.gone and not r.confirmed]:
            self.delete(region)

    def extend(self, region: Region) -> None:
        """A volume grows by a GiB; what is in it stays."""
        path = f"{VOLUMES}/{region.volume}"
        self.forget(region.volume)
        size = int(self.wire.insist("GET", path).json["volume"]["size"]) + 1
        if size <= 8:
            answer = self.wire.insist("POST", f"{path}/action", {"os-extend": {"new_size": size}})
            self.until(region.volume, "available")
            found = int(self.wire.insist("GET", path).json["volume"]["size"])
            self.ledger.note("size", region.volume, found)
            if answer.status == 202 and found < size:
                self.ledger.note("broken", f"volume {region.volume} was extended to {size} GiB and has {found}")

    def forget(self, volume: str) -> None:
        """No reservation is left whose answer never came: who asked again, without a key, has another one."""
        found = self.wire.insist("GET", f"{ATTACHMENTS}?volume_id={volume}").json["attachments"]
        for attachment in found:
            self.wire.insist("DELETE", f"{ATTACHMENTS}/{attachment['id']}")

    def delete(self, region: Region) -> None:
        """A volume goes."""
        self.ledger.note("delete", region.volume)
        self.wire.insist("DELETE", f"{VOLUMES}/{region.volume}")
        self.ledger.note("deleted", region.volume)

    def until(self, volume: str, status: str) -> None:
        """Wait until the volume is what it must become."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            answer = self.wire.insist("GET", f"{VOLUMES}/{volume}")
            found = answer.json["volume"]["status"] if answer.status == 200 else str(answer.status)
            if found == status:
                return
            time.sleep(0.05)
        self.ledger.note("broken", f"volume {volume} is {found} after 120 s, not {status}")

    # ---- attachments

    def cycle(self, region: Region) -> None:
        """Attach, read and check, write, detach; now and then with a reader beside."""
        attachment = ""
        try:
            attachment, generation, mine = self.attach(region, "rw")
            try:
                mine, generation = self.use(region, attachment, generation, mine)
            finally:
                mine.close()
        except (disk.DiskError, Interrupted):
            self.release(region, attachment, None)
        else:
            self.release(region, attachment, generation)
        self.ledger.note("cycle")

    def connector(self) -> dict[str, Any]:
        """Where the client says that it is."""
        if self.door == "tls":
            return {"host": f"host-{self.slot}", "nbd": True}
        return {"host": self.plan["host"], **({"nbd": True} if self.door == "socket" else {})}

    def attach(self, region: Region, mode: str) -> tuple[str, str, disk.Disk]:
        """The attachment, its generation and its disk, after what Compute does: reserve, connect, complete."""
        asked: dict[str, Any] = {"volume_uuid": region.volume, "instance_uuid": self.instance, "mode": mode}
        headers = {}
        if self.chance.random() < 0.5:
            asked["connector"] = self.connector()
            headers["Moorage-Key"] = uuid.UUID(int=self.chance.getrandbits(128)).hex
        again = frozenset({504}) if headers else AGAIN  # what has failed under a key has failed
        answer = self._made(region, self.wire.insist("POST", ATTACHMENTS, {"attachment": asked}, headers, again=again))
        attachment = str(answer.json["attachment"]["id"])
        if mode == "rw":
            self.ledger.note("attach", region.volume, attachment)
        if "connector" not in asked:
            answer = self.update(region, attachment)
        shown, generation = answer.json["attachment"], answer.headers["moorage-generation"]
        done = self.wire.insist("POST", f"{ATTACHMENTS}/{attachment}/action", {"os-complete": None})
        if done.status != 204:
            raise Interrupted(f"{attachment}: {done.status} {done.sentence()}")
        return attachment, generation, self.connect(shown)

    def _made(self, region: Region, answer: Answer) -> Answer:
        if answer.status != 200:
            raise Interrupted(f"{region.volume}: {answer.status} {answer.sentence()}")
        return answer

    def update(self, region: Region, attachment: str) -> Answer:
        body = {"attachment": {"connector": self.connector()}}
        return self._made(region, self.wire.insist("PUT", f"{ATTACHMENTS}/{attachment}", body))

    def connect(self, shown: Mapping[str, Any]) -> disk.Disk:
        """The disk; one that does not open is an error like any other of it."""
        try:
            return disk.connect(shown["connection_info"])
        except KeyError as error:
            raise disk.DiskError(f"no {error}") from None

    def use(self, region: Region, attachment: str, generation: str, mine: disk.Disk) -> tuple[disk.Disk, str]:
        """Read all, write some, a few times; after an error go on where the attachment may be revived."""
        fenced, turns, troubles = True, self.chance.randint(1, 3), 0
        while turns:
            try:
                self.look(region, mine, fenced=fenced)
                troubles = 0
                for _ in range(self.chance.randint(1, 4)):
                    self.write(region, mine)
                if self.chance.random() < 0.5:
                    mine.flush()
                    self.ledger.note("flush", region.volume)
                self.look(region, mine, fenced=fenced)
                if region.shared and self.chance.random() < 0.15:
                    self.beside(region)
                turns -= 1
            except disk.DiskError as error:
                self.ledger.note("error", region.volume, str(error))
                mine.close()
                troubles += 1
                if troubles > MOST_TROUBLES:  # a dead device opens, and gives nothing but errors
                    raise Interrupted(str(error)) from None
                time.sleep(0.1 * troubles)
                mine, generation, fenced = self.revive(region, attachment, generation, error)
        return mine, generation

    def revive(self, region: Region, attachment: str, generation: str, error: Exception) -> tuple[disk.Disk, str, bool]:
        """
        The disk again, and whether nothing of before can land any more: after an update of what was lost; or at the
        old address, where the data plane lets the client go on.
        """
        deadline = time.monotonic() + REVIVAL_S
        while time.monotonic() < deadline and not self.over:
            answer = self.wire.insist("GET", f"{ATTACHMENTS}/{attachment}")
            if answer.status != 200:
                break
            shown = answer.json["attachment"]
            if shown["status"] == "error_attaching":
                answer = self.update(region, attachment)
                self.wire.insist("POST", f"{ATTACHMENTS}/{attachment}/action", {"os-complete": None})
                again = self.connect(answer.json["attachment"])
                return again, answer.headers["moorage-generation"], True
            try:
                return disk.connect(shown["connection_info"]), generation, False
            except (disk.DiskError, KeyError):
                time.sleep(0.3)
        raise Interrupted(str(error))

    def look(self, region: Region, mine: disk.Disk, *, fenced: bool) -> None:
        """All blocks are what they may be, and are known from now on."""
        data = mine.read(BLOCKS * BLOCK, region.first * BLOCK)
        self.judge(region, data)
        numbers = [number(region.mark, region.first + at, part) for at, part in enumerate(parts(data))]
        self.ledger.note("found", region.volume, region.first, numbers, fenced)

    def judge(self, region: Region, data: bytes) -> None:
        """What was read is what may be there; a client that sees anything else says so and ends."""
        for what in region.wrong(data, region.first):
            self.ledger.note("broken", what)
            raise SystemExit(3)

    def write(self, region: Region, mine: disk.Disk) -> None:
        """A few neighbouring blocks."""
        count = self.chance.randint(1, 4)
        first = region.first + self.chance.randint(0, BLOCKS - count)
        written = self.book.last_number + 1
        self.ledger.note("write", region.volume, written, first, count)
        mine.write(b"".join(block(region.mark, first + n, written) for n in range(count)), first * BLOCK)
        self.ledger.note("ack", region.volume)

    def beside(self, region: Region) -> None:
        """A read-only attachment of the same volume sees the same, and cannot write. Its errors are its own."""
        try:
            attachment, _, reader = self.attach(region, "ro")
            try:
                self.judge(region, reader.read(BLOCKS * BLOCK, region.first * BLOCK))
                if not reader.read_only:
                    self.ledger.note("broken", f"attachment {attachment} is ro and its disk is not")
                self.intrude(region, attachment, reader)
            finally:
                reader.close()
        except (disk.DiskError, Interrupted):
            pass
        self.sweep(keep=region.attachment)
        self.ledger.note("cycle")

    def intrude(self, region: Region, attachment: str, reader: disk.Disk) -> None:
        """A write through a read-only attachment fails."""
        try:
            reader.write(b"intruder" * (BLOCK // 8), region.first * BLOCK)
        except disk.DiskError:
            return
        self.ledger.note("broken", f"attachment {attachment} is ro and wrote")

    def release(self, region: Region, attachment: str, generation: str | None) -> None:
        """
        Nothing of the client is attached any more. The detach is clean if it was answered, for this generation, at the
        first time of asking; the repeat of a call that was cut off says nothing about what the first one met.
        """
        if generation is not None:
            path = f"{ATTACHMENTS}/{attachment}"
            try:
                answer = self.wire.call("DELETE", path, None, {"Moorage-Generation": generation})
                if answer.status == 200:
                    self.ledger.note("clean", region.volume)
                    return
            except Unreachable:
                pass
        self.ledger.note("error", region.volume, "released in doubt")
        self.sweep()

    def sweep(self, keep: str = "") -> None:
        """Whatever of this client's is attached is not any more, but for `keep`."""
        left = self.wire.insist("GET", f"{ATTACHMENTS}?instance_id={self.instance}&all_tenants=1")
        for attachment in [one for one in left.json["attachments"] if one["id"] != keep]:
            answer = self.wire.insist("DELETE", f"{ATTACHMENTS}/{attachment['id']}")
            if answer.status not in (200, 404):
                self.ledger.note("broken", f"attachment {attachment['id']}: {answer.status} {answer.sentence()}")


def main() -> None:
    """Run one client; whatever ends it but a signal is written down."""
    client = Client(Path(sys.argv[1]), int(sys.argv[2]))
    try:
        client.run()
    except Exception as problem:
        client.ledger.note("broken", f"it ended: {type(problem).__name__}: {problem}")
        raise


if __name__ == "__main__":
    main()
