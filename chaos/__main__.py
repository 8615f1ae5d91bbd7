"""Harm a Moorage at work, then judge it: python -m chaos --minutes 3 --seed 1 [--database postgresql]"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from chaos import judge, report
from chaos.client import ATTACHMENTS, VOLUMES
from chaos.harm import Harm
from chaos.ledger import Book, read
from chaos.wire import Unreachable
from chaos.world import ARRANGEMENTS, World
from moorage.database import Database
from tests import postgres

LOOK_S = 0.05
SAY_S = 15.0
ROTATION_S = 75.0
CLIENTS_END_S = 90.0
REST_S = 180.0


class Run:
    """One run: the world, the harm, and what is written down of both."""

    def __init__(self, asked: argparse.Namespace, folder: Path, database: str) -> None:
        self.asked, self.folder = asked, folder
        self.local = os.geteuid() == 0 and os.path.exists("/dev/fuse") and os.path.exists("/dev/loop-control")
        self.world = World(folder, asked.seed, asked.clients, database, self.local)
        self.url = database or f"sqlite:///{self.world.place.database}"
        self.fences: dict[str, float] = {}
        self.seen: list[str] = []
        self.began = time.monotonic()
        self.journal = (folder / "journal").open("a", buffering=1)
        self.harm = Harm(self.world, asked.seed, asked.pause, self.note, self.usurp)
        self.rested_s = 0.0

    def note(self, what: str) -> None:
        """One line of the journal of what was done."""
        self.journal.write(f"{time.monotonic() - self.began:8.2f} {what}\n")

    def usurp(self, slot: str) -> None:
        """Take from a client that is stopped what it has attached, and remember when that was done."""
        run = json.loads((self.folder / "plan.json").read_text())["run"]
        instance, admin = uuid.uuid5(uuid.NAMESPACE_OID, f"{run}-{slot}"), self.world.admin()
        with contextlib.suppress(Unreachable):
            left = admin.insist("GET", f"{ATTACHMENTS}?instance_id={instance}&all_tenants=1", patience_s=20)
            for one in left.json["attachments"]:
                if admin.insist("DELETE", f"{ATTACHMENTS}/{one['id']}", patience_s=20).status == 200:
                    self.fences[one["id"]] = time.monotonic()

    def books(self) -> list[Book]:
        return [read(self.folder / f"ledger-{slot}") for slot in range(self.asked.clients)]

    def cycles(self) -> int:
        """How many attachments have come and gone."""
        count = 0
        for slot in range(self.asked.clients):
            with contextlib.suppress(FileNotFoundError):
                count += (self.folder / f"ledger-{slot}").read_bytes().count(b'["cycle",')
        return count

    def go(self) -> None:
        """Work and harm, until enough of both."""
        world, last = self.world, time.monotonic()
        world.arrange(ARRANGEMENTS[0])
        world.seats[0].process.ready()  # type: ignore[union-attr]
        world.prepare(self.asked.volumes)
        world.enter_clients()
        deadline, rotation, turn = last + self.asked.minutes * 60, last + ROTATION_S, 0
        while time.monotonic() < deadline:
            world.tend()
            self.harm.go_on()
            if time.monotonic() > rotation:
                rotation, turn = time.monotonic() + ROTATION_S, turn + 1
                roles = ARRANGEMENTS[turn % len(ARRANGEMENTS)]
                self.note(f"arrange {' '.join(roles)}")
                self.harm.rest()
                world.arrange(roles)
            if time.monotonic() - last > SAY_S:
                last = time.monotonic()
                self.look()
                if self.enough():
                    break
            time.sleep(LOOK_S)

    def look(self) -> None:
        """Check what must hold at all times, and say how far it is."""
        database = Database(self.url)
        try:
            with database.read() as tx:
                self.seen += [what for what in judge.committed(tx) if what not in self.seen]
        finally:
            database.close()
        kills, stops = sum(self.harm.kills.values()), sum(self.harm.stops.values())
        minutes = (time.monotonic() - self.began) / 60
        print(f"{minutes:6.1f} min: {self.cycles()} cycles, {kills} kills, {stops} stops", flush=True)

    def enough(self) -> bool:
        """Whether both targets, where there are any, are reached."""
        targets = self.asked.cycles or self.asked.kills
        done = self.cycles() >= self.asked.cycles and sum(self.harm.kills.values()) >= self.asked.kills
        return bool(targets) and done

    def rest(self, verdict: judge.Verdict) -> None:
        """Everybody comes to rest: clients end, one whole control plane works on, what is left attached is detached."""
        self.note("rest")
        began = time.monotonic()
        self.harm.rest()
        self.world.arrange(("up",))
        self.world.seats[0].process.ready()  # type: ignore[union-attr]
        for seat in self.world.slots:
            if seat.popen is not None and seat.alive:
                seat.popen.terminate()
        for seat in self.world.slots:
            if seat.popen is None:
                continue
            try:
                seat.popen.wait(max(began + CLIENTS_END_S - time.monotonic(), 1))
            except subprocess.TimeoutExpired:
                verdict.stuck.append(f"client {seat.name} did not end")
                seat.popen.kill()
                seat.popen.wait()
        self.detach_all()
        if not judge.settled(self.url, REST_S):
            verdict.stuck.append(f"operations are open {REST_S:.0f} s after the last harm")
        self.rested_s = time.monotonic() - began

    def detach_all(self) -> None:
        """What killed clients left attached is taken away, and what they were about to delete is deleted."""
        admin = self.world.admin()
        left = admin.insist("GET", f"{ATTACHMENTS}?all_tenants=1").json["attachments"]
        for one in left:
            admin.insist("DELETE", f"{ATTACHMENTS}/{one['id']}")
        for book in self.books():
            for region in book.regions.values():
                if region.gone and not region.confirmed:
                    admin.insist("DELETE", f"{VOLUMES}/{region.volume}")

    def judge(self, verdict: judge.Verdict) -> list[Book]:
        """Everything is looked at, before and after the bytes are read, and once more when all is down."""
        found = self.books()
        for book in found:  # whoever was killed last said nothing
            book.apply(["start", time.monotonic()])
        judge.rows(self.url, verdict)
        verdict.left += judge.machine_is_clean(self.world.place, spares=True)
        judge.books(found, self.fences, verdict)
        host = json.loads((self.folder / "plan.json").read_text())["host"]
        judge.bytes_of(self.world.admin(), {"host": host, "nbd": True}, found, verdict)
        judge.settled(self.url, 30)
        judge.rows(self.url, verdict)
        said = self.world.command("doctor", "--json")
        verdict.left += [f"doctor: {one['sentence']}" for one in json.loads(said.stdout).get("findings", [])]
        down = self.world.command("down")
        if down.returncode:
            verdict.left.append(f"moorage down: {down.stderr[-300:]}")
        verdict.left += judge.machine_is_clean(self.world.place, spares=False)
        verdict.wrong += [f"while it ran: {what}" for what in self.seen]
        return found

    def end(self) -> None:
        """Leave no process of this run."""
        self.harm.wake()
        for seat in (*self.world.slots, *self.world.seats):
            if seat.popen is not None and seat.alive:
                seat.popen.kill()
                seat.popen.wait()
        self.world.command("down")
        shutil.rmtree(self.world.place.sockets, ignore_errors=True)


def main() -> int:
    """Run; print the table; 0 if every promise was kept and every target reached."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that nothing of the run is left
    print(f"seed {asked.seed}, {asked.database}, {asked.clients} clients", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="moor-chaos-", dir="/tmp"))
    folder.chmod(0o711)
    verdict = judge.Verdict()
    with database(asked.database) as url:
        run = Run(asked, folder, url)
        try:
            run.go()
            worked_s = time.monotonic() - run.began
            run.rest(verdict)
            found = run.judge(verdict)
        finally:
            run.end()
    short = run.cycles() < asked.cycles or sum(run.harm.kills.values()) < asked.kills
    print(report.table(run.harm, found, verdict, worked_s, run.rested_s, asked))
    for kind in ("lost", "stuck", "left", "wrong"):
        for what in getattr(verdict, kind)[:20]:
            print(f"{kind}: {what}")
    if short:
        print("not reached: the time was over before the targets were reached")
    if verdict.good and not asked.keep:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder} (journal, ledgers, logs, state)")
    return 0 if verdict.good and not short else 1


@contextlib.contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of the database; empty for SQLite, which is in the state directory."""
    if kind == "sqlite":
        yield ""
        return
    os.environ.setdefault("MOORAGE_TEST_RUN", str(os.getpid()))
    started = postgres.start()
    try:
        yield f"{started['url']}/postgres"
    finally:
        postgres.end(Path(started["home"]))


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="the longest time that harm is done")
    parser.add_argument("--cycles", type=int, default=0, help="with --kills: end when both are reached")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--volumes", type=int, default=8, help="volumes that all clients share")
    parser.add_argument("--pause", type=float, default=3.5, help="mean seconds between one harm and the next")
    parser.add_argument("--keep", action="store_true", help="leave journal, ledgers, logs and state")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
