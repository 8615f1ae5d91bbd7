"""Many clients at once on volumes that they share: none is refused, none has to ask twice, none hears of the others."""

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from chaos import disk
from chaos.wire import Answer, Wire
from tests.crowd.conftest import Crowd

pytestmark = pytest.mark.slow

CLIENTS = 64
REGION = 64 * 1024
CYCLERS, VOLUMES = 16, 8
CYCLES = int(os.environ.get("MOORAGE_TEST_CYCLES", "100"))


def expect(answer: Answer, *statuses: int) -> Answer:
    assert answer.status in statuses, f"{answer.status}: {answer.sentence()}"
    return answer


def attach(wire: Wire, volume: str, connector: Mapping[str, object], mode: str = "rw") -> tuple[str, disk.Disk]:
    """Reserve, connect, complete: what a compute service does. The attachment, and its disk."""
    asked = {"attachment": {"volume_uuid": volume, "instance_uuid": str(uuid.uuid4()), "mode": mode}}
    id = str(expect(wire.call("POST", "/volume/v3/attachments", asked), 200).json["attachment"]["id"])
    update = {"attachment": {"connector": dict(connector)}}
    shown = expect(wire.call("PUT", f"/volume/v3/attachments/{id}", update), 200).json["attachment"]
    expect(wire.call("POST", f"/volume/v3/attachments/{id}/action", {"os-complete": None}), 204)
    return id, disk.connect(shown["connection_info"])


def together(count: int, work: Callable[[int], None]) -> None:
    """`work` for each number, all at once; a failure is raised once all have ended."""
    with ThreadPoolExecutor(count) as pool:
        failures = [done.exception() for done in [pool.submit(work, number) for number in range(count)]]
    for failure in sorted(filter(None, failures), key=lambda f: isinstance(f, threading.BrokenBarrierError)):
        raise failure


def pattern(number: int, turn: int) -> bytes:
    return (number * 1000 + turn + 1).to_bytes(8, "little") * (REGION // 8)


def test_sixty_four_clients_attach_use_and_detach_one_volume_at_once(crowd: Crowd) -> None:
    (volume,) = crowd.shared(1)
    barriers = attached, written, read, rewritten = [threading.Barrier(CLIENTS) for _ in range(4)]
    wires = [crowd.wire("moorage") for _ in range(CLIENTS)]

    def client(number: int) -> None:
        try:
            attached.wait(120)
            id, mine = attach(wires[number], volume, {"host": f"host-{number}", "nbd": True})
            mine.write(pattern(number, 0), number * REGION)
            mine.flush()
            written.wait(120)
            for other in (number, (number + 1) % CLIENTS):
                assert mine.read(REGION, other * REGION) == pattern(other, 0)
            read.wait(120)
            mine.write(pattern(number, 1), number * REGION)
            assert mine.read(REGION, number * REGION) == pattern(number, 1)
            rewritten.wait(120)
            expect(wires[number].call("DELETE", f"/volume/v3/attachments/{id}"), 200)
            with pytest.raises(disk.DiskError):
                mine.write(pattern(number, 2), number * REGION)
            mine.close()
        except BaseException:
            for barrier in barriers:
                barrier.abort()
            raise

    together(CLIENTS, client)
    assert crowd.refused == []
    assert crowd.demo.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]["status"] == "available"
    assert crowd.nothing_left(), crowd.leftovers()
    _, after = attach(crowd.demo, volume, {"host": "checker", "nbd": True}, mode="ro")
    for number in range(CLIENTS):
        assert after.read(REGION, number * REGION) == pattern(number, 1)
    after.close()


def test_sixteen_clients_come_and_go_on_eight_volumes(crowd: Crowd) -> None:
    """A hundred cycles in all, in `make test`; a thousand with MOORAGE_TEST_CYCLES=1000, as `make chaos` does."""
    volumes = crowd.shared(VOLUMES)
    here = crowd.admin.call("GET", "/moorage/v1/hosts").json["hosts"][0]["name"]
    start = threading.Barrier(CYCLERS)
    last: dict[tuple[str, int], int] = {}

    def client(number: int) -> None:
        trusted = number % 4 == 3  # gets a gate on a unix socket; the others get TLS
        wire = crowd.wire("moorage-admin" if trusted else "moorage")
        connector = {"host": here if trusted else f"host-{number}", "nbd": True}
        start.wait(60)
        for turn in range(number, CYCLES, CYCLERS):
            volume = volumes[(number + turn // CYCLERS) % VOLUMES]
            read_only = turn % 5 == 4
            id, mine = attach(wire, volume, connector, mode="ro" if read_only else "rw")
            place = number * REGION
            if (before := last.get((volume, number))) is not None:
                assert mine.read(REGION, place) == pattern(number, before)
            if read_only:
                assert mine.read_only
                with pytest.raises(disk.DiskError):  # with TLS, nbdkit drops the connection instead of refusing
                    mine.write(pattern(number, turn), place)
            else:
                mine.write(pattern(number, turn), place)
                last[volume, number] = turn
            expect(wire.call("DELETE", f"/volume/v3/attachments/{id}"), 200)
            with pytest.raises(disk.DiskError):
                mine.read(REGION, place)
            mine.close()

    together(CYCLERS, client)
    assert crowd.refused == []
    assert crowd.nothing_left(), crowd.leftovers()
    for volume in volumes:
        assert crowd.demo.call("GET", f"/volume/v3/volumes/{volume}").json["volume"]["status"] == "available"
