"""
What is asked of whatever gives this host a block device for an attachment, and what may be relied on.

One device for each attachment: nothing is shared, so nothing is counted. Calling a verb twice is calling it once. It
keeps no state that cannot be found again on the machine: `present` looks there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from moorage.core.errors import Unavailable


class DevicesUnavailable(Unavailable):
    """This host cannot make block devices: {why}."""

    code = "device.unavailable"


@dataclass(frozen=True)
class Device:
    """A block device of this host."""

    path: str  #: "/dev/loop0"; empty while only its server is there
    read_only: bool
    alive: bool  #: its server still runs
    mounted: str | None  #: where it is mounted


class Devices(ABC):
    """A way to get block devices on this host."""

    def obstacles(self) -> list[str]:
        """Why this host cannot make devices, a sentence each; none where it can."""
        return []

    @abstractmethod
    def connect(self, attachment: str, uri: str, *, read_only: bool) -> Device:
        """Give `attachment`, reachable at the NBD `uri`, a device of its own."""

    @abstractmethod
    def flush(self, attachment: str, patience_s: float = 5.0) -> None:
        """Make what was written to the device durable; raise `Unavailable` when that takes longer than `patience_s`."""

    @abstractmethod
    def disconnect(self, attachment: str) -> None:
        """
        Leave neither device nor server nor file of `attachment`, in use or not; its export may be dead already. Gone is
        fine.
        """

    @abstractmethod
    def present(self) -> Mapping[str, Device]:
        """Every device, or what is left of one, by attachment."""
