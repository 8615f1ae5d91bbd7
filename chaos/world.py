"""
What chaos happens to: a control plane of several processes, clients, and all that these keep running.

The processes of the control plane come in arrangements, which change in the course of a run; whatever is killed is
started again, a moment later.
"""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaos.wire import Wire, auth, service
from moorage.drivers.connectors import machine
from moorage.drivers.processes import Identity
from moorage.place import Place
from tests.server import Process, free_port

ARRANGEMENTS = (("up",), ("up", "api", "worker"), ("host", "api", "api", "worker"), ("up", "up"))
DOORS = ("tls", "socket", "tls", "local")


@dataclass
class Seat:
    """A place for one process that is started again when it ends."""

    name: str
    process: Process | subprocess.Popen[bytes] | None = None
    due: float = 0.0  #: when it is to be started
    starts: int = 0
    finished: bool = False  #: it ended by itself and is not started again

    @property
    def popen(self) -> "subprocess.Popen[bytes] | None":
        return self.process.popen if isinstance(self.process, Process) else self.process

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None


@dataclass
class World:
    """One state directory below `folder`, and everybody who works with it."""

    folder: Path
    seed: str
    clients: int
    database: str = ""
    local: bool = True  #: whether block devices can be made here
    seats: list[Seat] = field(default_factory=list)
    slots: list[Seat] = field(default_factory=list)
    arrangement: tuple[str, ...] = ()
    _answered: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed}-world")
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o711)
        self.place = Place(self.state)
        self.ports = [free_port() for _ in range(4)]
        self.environment = {"MOORAGE_DATABASE": self.database} if self.database else {}

    # ---- the control plane

    def arrange(self, roles: tuple[str, ...]) -> None:
        """From now on these processes are the control plane; others of before are told to end."""
        for seat in self.seats:
            if seat.popen is not None and seat.alive:
                seat.popen.terminate()
        self.ended = [seat for seat in self.seats if seat.alive]
        self.arrangement = roles
        self.seats = [Seat(role) for role in roles]
        api, other = iter(self.ports[:2]), iter(self.ports[2:])
        for seat in self.seats:
            port = next(api) if seat.name in ("up", "api") else next(other)
            self._wait_for_port(port)
            seat.process = Process(self.state, seat.name, port, **self.environment)

    def _wait_for_port(self, port: int) -> None:
        """Its former holder has ended; one that does not is killed."""
        for seat in self.ended if self.ended else ():
            if isinstance(seat.process, Process) and seat.process.port == port:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    seat.process.popen.wait(20)
                if seat.alive:
                    seat.process.kill()

    ended: list[Seat] = field(default_factory=list)

    def tend(self) -> None:
        """Start again what has ended, and is due."""
        self.serving_s()
        now = time.monotonic()
        for seat in (*self.seats, *self.slots):
            if seat.alive or seat.finished:
                continue
            if seat in self.slots and seat.popen is not None and seat.popen.returncode in (0, 3):
                seat.finished = True
            elif not seat.due:
                seat.due = now + self.chance.uniform(0.1, 1.0)
            elif now >= seat.due:
                seat.due = 0.0
                self._start(seat)

    def serving_s(self) -> float:
        """For how long somebody has answered by now: on a busy machine a start takes as long as some harm is apart."""
        for port in self.ports[:2]:
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if not probe.connect_ex(("127.0.0.1", port)):
                    self._answered = self._answered or time.monotonic()
                    return time.monotonic() - self._answered
        self._answered = 0.0
        return 0.0

    def _start(self, seat: Seat) -> None:
        seat.starts += 1
        if isinstance(seat.process, Process):
            seat.process = Process(self.state, seat.name, seat.process.port, **self.environment)
        else:
            seat.process = self._client(int(seat.name))

    # ---- clients

    def prepare(self, shared: int) -> None:
        """A cloud with volumes that all share, half of them blank, half of them clones; and the clients' plan."""
        admin = self.admin()
        asked = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
        type_id = admin.insist("POST", "/volume/v3/types", asked).json["volume_type"]["id"]
        demo = Wire(self.ports[:2], auth(self.place.clouds, "moorage"))
        made: list[dict[str, object]] = []
        for number in range(shared):
            body: dict[str, object] = {"size": 1, "volume_type": type_id, "name": f"shared-{number}"}
            if number % 2:
                body = {"name": f"shared-{number}", "source_volid": self._blank(demo, type_id)}
            id = demo.insist("POST", "/volume/v3/volumes", {"volume": body}).json["volume"]["id"]
            while demo.insist("GET", f"/volume/v3/volumes/{id}").json["volume"]["status"] != "available":
                time.sleep(0.05)
            made.append({"id": id, "careful": not number % 2})
        users = {"demo": auth(self.place.clouds, "moorage"), "admin": auth(self.place.clouds, "moorage-admin")}
        plan = {
            "run": self.folder.name,
            "seed": self.seed,
            "ports": self.ports[:2],
            "users": {**users, "service": service(admin)},
            "host": admin.insist("GET", "/moorage/v1/hosts").json["hosts"][0]["name"],
            "shared": made,
            "doors": [self._door(number) for number in range(self.clients)],
        }
        path = self.folder / "plan.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(plan))

    def _blank(self, demo: Wire, type_id: str) -> str:
        body = {"volume": {"size": 1, "volume_type": type_id}}
        id = str(demo.insist("POST", "/volume/v3/volumes", body).json["volume"]["id"])
        while demo.insist("GET", f"/volume/v3/volumes/{id}").json["volume"]["status"] != "available":
            time.sleep(0.05)
        return id

    def _door(self, number: int) -> str:
        door = DOORS[number % len(DOORS)]
        return door if self.local or door != "local" else "socket"

    def admin(self) -> Wire:
        return Wire(self.ports[:2], auth(self.place.clouds, "moorage-admin"), timeout_s=30.0)

    def enter_clients(self) -> None:
        """The clients begin."""
        self.slots = [Seat(str(number)) for number in range(self.clients)]
        for seat in self.slots:
            self._start(seat)

    def _client(self, slot: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "chaos.client", str(self.folder), str(slot)]
        with (self.folder / f"client-{slot}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(__file__).parents[1])

    # ---- who may be harmed

    def victims(self, kind: str) -> list[tuple[str, Identity]]:
        """Living processes of one kind, in an order that a seed can choose from."""
        if kind in ("control", "client"):
            seats = self.seats if kind == "control" else self.slots
            return [(seat.name, Identity.of(seat.popen.pid)) for seat in seats if seat.popen and seat.alive]
        if kind == "nbdfuse":
            words = str(self.place.sockets)
            found = [p for p in machine.programs("nbdfuse") if any(words in word for word in p.words)]
            return [(str(p.identity.pid), p.identity) for p in sorted(found, key=lambda p: p.identity.pid)]
        return sorted(self._served(kind), key=lambda one: one[0])

    def _served(self, kind: str) -> Iterator[tuple[str, Identity]]:
        for path in (self.state / "run/daemons").glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                said = json.loads(path.read_text())
                found = [(said["volume"], said["process"])]
                if kind == "gate":
                    found = [(id, entry["gate"]) for id, entry in said["entries"].items() if entry.get("gate")]
                for name, process in found:
                    identity = Identity(process["pid"], process["start"], process["boot"])
                    if identity.alive():
                        yield name, identity

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A `moorage` command on the state directory."""
        argv = [sys.executable, "-m", "moorage", *words, "--state", str(self.state)]
        environment = {**os.environ, **self.environment}
        return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=environment)
