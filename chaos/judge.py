"""
The judge: after everything has come to rest, whether every promise was kept. Each finding is a sentence.

It asks the database, the process list, the kernel and `doctor`, and reads every byte that any client wrote, through a
read-only attachment of its own.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from chaos import disk
from chaos.blocks import BLOCK
from chaos.client import ATTACHMENTS, VOLUMES
from chaos.ledger import Book, Region
from chaos.wire import Wire
from moorage.database import Database, Transaction
from moorage.drivers.connectors import machine
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.place import Place
from moorage.volumes import quota, status
from moorage.volumes.attachments.attachment import standing
from moorage.volumes.records import attachments, layers, quotas, volumes

RESTING = frozenset({"available"})


@dataclass
class Verdict:
    """What was found, by kind."""

    lost: list[str] = field(default_factory=list)  #: bytes that are missing or wrong, and writes that came too late
    stuck: list[str] = field(default_factory=list)  #: rows that did not come to rest
    left: list[str] = field(default_factory=list)  #: processes, devices, files and findings of `doctor`
    wrong: list[str] = field(default_factory=list)  #: rows that disagree with each other, and what clients say
    blocks: int = 0  #: how many were checked

    @property
    def good(self) -> bool:
        return not (self.lost or self.stuck or self.left or self.wrong)


def committed(tx: Transaction) -> Iterator[str]:
    """What must hold in every committed state, whatever is going on."""
    held: dict[str, list[Mapping[str, object]]] = {}
    for row in tx.all(select(attachments).where(attachments.c.state != "detached")):
        held.setdefault(row["volume_id"], []).append(row)
    rows = {row["id"]: row for row in tx.all(select(volumes))}
    kinds: dict[str, list[str]] = {}
    ahead: Counter[str] = Counter()  #: GiB that projects have been charged for volumes that are growing
    for operation in tx.all(select(operations).where(journal.is_open(), operations.c.resource_kind == "volume")):
        kinds.setdefault(operation["resource_id"], []).append(operation["kind"])
        row, asked = rows.get(operation["resource_id"]), operation["input"]
        if operation["kind"] == "extend-volume" and row is not None and row["size_gib"] < asked["size_gib"]:
            ahead[row["project_id"]] += asked["more_gib"]
    for id, row in rows.items():
        derived = status.derive(
            operations=kinds.get(id, []),
            bytes_there=row["head"] is not None,
            failed=row["failed"],
            override=row["override"],
            held=[standing(claim) for claim in held.get(id, [])],
        )
        if derived != row["status"]:
            yield f"volume {id} says {row['status']} and is {derived}"
        mine = held.get(id, [])
        holders = {claim["instance_uuid"] or claim["id"] for claim in mine}
        hosts = [claim["host"] for claim in mine if claim["connector"]]
        if not row["multiattach"] and (len(holders) > 1 or len(hosts) != len(set(hosts))):
            yield f"volume {id} is one holder's at a time and has {len(mine)} attachments"
    for id in held.keys() - rows.keys():
        yield f"volume {id} is gone and has attachments"
    for row in tx.all(select(quotas).where(~quotas.c.id.startswith("class:"))):
        counted, usage = quota.recount(tx, row["id"]), row["usage"]
        for name in ("volumes", "gigabytes"):
            if usage.get(name, 0) != counted.get(name, 0) + (ahead[row["id"]] if name == "gigabytes" else 0):
                yield f"project {row['id']}: {name} are {counted.get(name, 0)}, and its quota says {usage.get(name, 0)}"
    known = {row["id"] for row in tx.all(select(layers.c.id))}
    for id, row in rows.items():
        if row["head"] is not None and row["head"] not in known:
            yield f"volume {id} has a head without a row, {row['head']}"


def at_rest(tx: Transaction) -> Iterator[str]:
    """What must hold once nothing is going on: nothing is going on."""
    for row in tx.all(select(operations).where(journal.is_open())):
        what = f"operation {row['id']} ({row['kind']} of {row['resource_id']})"
        yield f"{what} is {row['state']}: {row['hindrance'] or row['error'] or 'no reason'}"
    for row in tx.all(select(attachments).where(attachments.c.state != "detached")):
        yield f"attachment {row['id']} of volume {row['volume_id']} is {row['state']}"
    for row in tx.all(select(volumes).where(volumes.c.status.not_in(RESTING))):
        yield f"volume {row['id']} is {row['status']}"


def rows(url: str, verdict: Verdict) -> None:
    """Whether the rows agree with each other and are at rest."""
    database = Database(url)
    try:
        with database.read() as tx:
            verdict.wrong += committed(tx)
            verdict.stuck += at_rest(tx)
    finally:
        database.close()


def settled(url: str, patience_s: float) -> bool:
    """Whether all operations end in time."""
    database, deadline = Database(url), time.monotonic() + patience_s
    try:
        while time.monotonic() < deadline:
            with database.read() as tx:
                if not tx.all(select(operations.c.id).where(journal.is_open()).limit(1)):
                    return True
            time.sleep(0.2)
        return False
    finally:
        database.close()


def machine_is_clean(place: Place, *, spares: bool) -> Iterator[str]:
    """What is left of the data plane: processes, mounts, loop devices, sockets, keys, records."""
    words = (str(place.state), str(place.sockets))
    ready = {_pid(path) for path in place.locks.glob("spares/*.json")} if spares else set()
    for program in ("qemu-storage-daemon", "nbdkit", "nbdfuse"):
        for found in _programs(program):
            if any(word in text for text in found[1] for word in words) and found[0] not in ready:
                yield f"process {found[0]}: {' '.join(found[1])[:200]}"
    for loop in machine.loops():
        if loop.backing.startswith(str(place.sockets)):
            yield f"{loop.device} on {loop.backing}"
    for mount in machine.mounts():
        if mount.point.startswith(str(place.sockets)):
            yield f"mount {mount.point}"
    for folder in ("g", "k", "dev"):
        if (place.sockets / folder).is_dir():
            yield from (str(path) for path in (place.sockets / folder).iterdir())
    yield from (str(path) for path in place.locks.glob("daemons/*"))


def _programs(name: str) -> Iterator[tuple[int, list[str]]]:
    """Processes of any user with this program among their words; daemons are not ours."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(Path(word).name == name for word in words if word):
                yield int(directory.name), words


def _pid(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["process"]["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def books(found: Sequence[Book], fences: Mapping[str, float], verdict: Verdict) -> None:
    """What the clients themselves say, and whether any write landed behind a fence."""
    for slot, book in enumerate(found):
        verdict.wrong += [f"client {slot}: {what}" for what in book.broken]
        verdict.wrong += [f"client {slot}: {what}" for what in book.refused if what.split(" ")[2] == "500"]
        for attachment, began, written in book.landed:
            if began > fences.get(attachment, began):
                verdict.lost.append(f"client {slot}: write {written} landed after attachment {attachment} was deleted")


def bytes_of(wire: Wire, connector: Mapping[str, object], found: Sequence[Book], verdict: Verdict) -> None:
    """Every block of every volume that is still there holds what it may, and no volume is missing."""
    regions: dict[str, list[Region]] = {}
    for book in found:
        for region in book.regions.values():
            if not region.gone:
                regions.setdefault(region.volume, []).append(region)
    for volume, of in regions.items():
        if wire.insist("GET", f"{VOLUMES}/{volume}").status != 200:
            verdict.lost.append(f"volume {volume} is gone, and nobody deleted it")
            continue
        asked = {"volume_uuid": volume, "mode": "ro", "connector": dict(connector)}
        answer = wire.insist("POST", ATTACHMENTS, {"attachment": asked})
        if answer.status != 200:
            verdict.stuck.append(f"volume {volume} cannot be attached: {answer.status} {answer.sentence()}")
            continue
        shown = answer.json["attachment"]
        reader = disk.connect(shown["connection_info"])
        for region in of:
            judge(region, reader, verdict)
        reader.close()
        wire.insist("DELETE", f"{ATTACHMENTS}/{shown['id']}")


def judge(region: Region, reader: disk.Disk, verdict: Verdict) -> None:
    """One client's blocks of one volume."""
    if not region.blocks:
        return
    first, last = min(region.blocks), max(region.blocks)
    verdict.blocks += last - first + 1
    verdict.lost += region.wrong(reader.read((last - first + 1) * BLOCK, first * BLOCK), first)
