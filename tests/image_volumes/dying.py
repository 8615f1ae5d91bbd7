"""A process that dies in the middle of using a store of volumes: `python -m tests.image_volumes.dying ...`."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from moorage.config import Config
from moorage.drivers.stores.volume import service

ROOT = Path(__file__).parents[2]


def start(*words: object) -> "subprocess.Popen[bytes]":
    """The process; what it is to do is said by `words`."""
    command = [sys.executable, "-m", "tests.image_volumes.dying", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def _die_after(questions: int) -> None:
    """Have this process killed right after the n-th answer of Block Storage, before anything is made of it."""
    asked, guard = service.BlockStorage._ask, threading.Lock()
    left = [questions]

    def counted(*words, **more):
        answer = asked(*words, **more)
        with guard:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    service.BlockStorage._ask = counted  # type: ignore[method-assign]


def main(what: str, state: str, id: str, number: str, database: str = "") -> None:
    service.LEASE_S = 3  # the shortest that there is
    from tests.cloud import Cloud
    from tests.image_volumes import scene

    cloud = Cloud(
        Config(state=Path(state), database=database, stores=scene.STORES), "worker" if what == "take" else "api"
    )
    if what == "take":
        _die_after(int(number))
        asked = {"os-volume_upload_image": {"image_name": "taken"}}
        cloud.call("POST", f"/volume/v3/volumes/{id}/action", asked)
        print("done", flush=True)
        os._exit(0)
    if what == "upload":
        _die_after(int(number))
        scene.put(cloud, id, [bytes([n]) * 700_001 for n in range(5)])
        print("done", flush=True)
        os._exit(0)
    found = scene.store(cloud)
    (name,) = [name for name in found.names() if f"/{id}/" in name]
    chunks = [found.open(name) for _ in range(int(number))]
    for one in chunks:
        next(one)
    print(found.pool.held(), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
