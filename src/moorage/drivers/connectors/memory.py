"""The smallest connector: devices are entries in a dictionary, with paths that lead nowhere."""

from collections.abc import Mapping
from itertools import count

from moorage.hosts.devices import Device, Devices


class MemoryDevices(Devices):
    """Keeps everything in this process."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, Device]] = {}
        self._numbers = count()

    def connect(self, attachment: str, uri: str, *, read_only: bool) -> Device:
        there = self.made.get(attachment)
        if there is not None and (there[0], there[1].read_only) == (uri, read_only):
            return there[1]
        device = Device(path=f"/dev/memory{next(self._numbers)}", read_only=read_only, alive=True, mounted=None)
        self.made[attachment] = (uri, device)
        return device

    def flush(self, attachment: str, patience_s: float = 5.0) -> None:
        pass

    def disconnect(self, attachment: str) -> None:
        self.made.pop(attachment, None)

    def present(self) -> Mapping[str, Device]:
        return {attachment: device for attachment, (_, device) in self.made.items()}
