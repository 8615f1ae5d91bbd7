"""What a store of volumes knows of the process that it is in; nothing of the store is needed to say it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.drivers.stores.volume.service import Session


@dataclass(frozen=True)
class Around:
    """What a store of volumes is given by the process that it is in."""

    host: str  #: this host's name, as our Block Storage knows it
    ours: "Session"  #: our own Block Storage, asked in the name of Moorage's own user
    folder: Path | None = None  #: where attachments elsewhere are written down
    owner_of: Callable[[str], str | None] = lambda image: None  #: the project of an image
    trim: Callable[[str, int], None] | None = None  #: makes a volume of ours shorter
