"""The heart of an agent: it says what the host holds, as often as the leases need it, and lets go of what is over."""

import logging
import os
import threading
from typing import Any

from moorage import __version__
from moorage.agent.credential import Credential
from moorage.agent.devices import LeasedDevices, now
from moorage.client.wire import ClientError, Refusal, Wire
from moorage.core.pids import pid_space

log = logging.getLogger(__name__)

IDLE_S, AGAIN_S = 5.0, 0.25
PATIENCE_S = 2.0  #: for one heartbeat; another one may come through where this one hangs
LOOK_S = 0.2  #: how often is looked whether a lease is over


class Heart:
    """Beats on one thread; on another, has those devices looked at that could not be renewed in time."""

    def __init__(self, credential: Credential, devices: LeasedDevices, agent: str) -> None:
        self._credential, self._devices, self._agent = credential, devices, agent
        self._wire = Wire(timeout_s=PATIENCE_S, cacert=os.environ.get("OS_CACERT"))
        self._wake, self._stop = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=loop, name=f"agent-{loop.__name__.strip('_')}", daemon=True)
            for loop in (self._beat, self._watch)
        ]
        self.trouble: str | None = None  #: why the last heartbeat was not heard

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Beat no more. What has a lease lapses, unless another agent of this host takes it up."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 1)

    def hurry(self) -> None:
        """Beat at once: there is something new to renew."""
        self._wake.set()

    def once(self) -> float:
        """One heartbeat; how soon the next one is needed. Raises `ClientError` where it was not heard."""
        said = {
            "boot": pid_space()[:128],
            "version": __version__[:32],
            "agent": self._agent[:255],
            "obstacles": [why[:1000] for why in self._devices.obstacles()][:100],
            "devices": self._devices.present(),
        }
        sent = now()
        url = f"{self._credential.url}/moorage/v1/hosts/{self._credential.name}/heartbeat"
        secret = {"Moorage-Host-Secret": self._credential.secret}
        answer: dict[str, Any] = self._wire.ask("POST", url, {"heartbeat": said}, secret).body["heartbeat"]
        self._devices.renewed(sent, {id: lease["term_s"] for id, lease in answer["leases"].items()})
        for id in answer["over"]:
            log.error("attachment %s is not this host's any more: its device is taken away", id)
            self._devices.disconnect(id, flush=False)
        return min(float(answer["again_in_s"]), IDLE_S)

    def _beat(self) -> None:
        pause_s = 0.0
        while not self._stop.is_set():
            self._wake.wait(pause_s)
            self._wake.clear()
            try:
                pause_s = self.once()
                self._say(None)
            except Refusal as refusal:
                self._say(f"it is refused: {refusal}")
                pause_s = 1.0
            except ClientError as problem:
                self._say(str(problem))
                pause_s = AGAIN_S
            except Exception:
                log.exception("a heartbeat failed")
                pause_s = 1.0

    def _say(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            log.warning("%s", "heartbeats are heard again" if trouble is None else f"no heartbeat is heard: {trouble}")
        self.trouble = trouble

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self._devices.look_at_unrenewed()
            except Exception:
                log.exception("devices could not be looked at")
