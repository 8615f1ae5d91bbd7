"""
Real clients behind the doors: they stay connected from batch to batch, write where they may, and try where not.

A holder whose attachment is over, or was taken over by another generation, must not get a single write in any more; the
others must not notice.  What anybody was told is written, everybody reads.
"""

import secrets
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from moorage.volumes.backend import Connection
from tests.drivers.clients import ClientError, client, libnbd
from tests.drivers.writers import BLOCK, block
from tests.properties.sight import Row, Sight

Key = tuple[str, int]  #: attachment and generation


class Holder:
    """One client, connected."""

    def __init__(self, claim: Row, offset: int, keys: Path) -> None:
        self.volume, self.mode, self.offset = str(claim["volume_id"]), str(claim["mode"]), offset
        self._stack, self._key = ExitStack(), None
        if claim["secret"]:
            self._key = keys / str(claim["export"])
            self._key.write_text(f"{claim['id']}:{claim['secret']}\n")
        self._connection = Connection(claim["connection"]["uri"])
        self.nbd: Any = self._stack.enter_context(client(self._connection, self._key))

    def writes(self, number: int) -> bool:
        """
        Whether it gets a write in. A reader tries on another connection: nbdkit ends one with TLS over what it refused.
        """
        try:
            if self.mode == "ro":
                with client(self._connection, self._key) as nbd:
                    nbd.set_strict_mode(nbd.get_strict_mode() & ~libnbd.STRICT_COMMANDS)  # the server is to say no
                    nbd.pwrite(block(number), self.offset)
            else:
                self.nbd.pwrite(block(number), self.offset)
        except ClientError:
            return False
        return True

    def reads(self, offset: int) -> bytes | None:
        """What it reads there; None where it gets nothing."""
        try:
            return bytes(self.nbd.pread(BLOCK, offset))
        except ClientError:
            return None

    def close(self) -> None:
        self._stack.close()


class Holders:
    """All clients there are, and what each volume must read as."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._present: dict[Key, Holder] = {}
        self._bytes: dict[str, dict[int, int]] = defaultdict(dict)

    def try_all(self, now: Sight) -> list[str]:
        """What is wrong with what clients can do now."""
        served = {(c["id"], c["generation"]): c for id in now.volumes for c in now.served(id)}
        wrong = [*self._leave(set(served))]
        for key, claim in served.items():
            if key not in self._present and "device_path" not in claim["connection"]:
                offset = len(self._bytes[claim["volume_id"]]) * BLOCK
                self._bytes[claim["volume_id"]][offset] = 0
                self._present[key] = Holder(claim, offset, self._keys)
        wrong += self._write()
        return wrong + self._read()

    def _leave(self, served: set[Key]) -> list[str]:
        """Those that are over try to write once more."""
        wrong = []
        for key in [key for key in self._present if key not in served]:
            holder = self._present.pop(key)
            if holder.writes(secrets.randbits(32)):
                wrong.append(f"attachment {key[0]}, whose generation {key[1]} is over, could write")
            holder.close()
        return wrong

    def _write(self) -> list[str]:
        wrong = []
        for (id, _), holder in self._present.items():
            number = secrets.randbits(32) + 1
            wrote = holder.writes(number)
            if wrote:
                self._bytes[holder.volume][holder.offset] = number
            if wrote != (holder.mode != "ro"):
                wrong.append(f"attachment {id} ({holder.mode}) {'could' if wrote else 'could not'} write")
        return wrong

    def _read(self) -> list[str]:
        wrong = []
        for (id, _), holder in self._present.items():
            for offset, number in self._bytes[holder.volume].items():
                found = holder.reads(offset)
                if found is None:
                    wrong.append(f"attachment {id} ({holder.mode}) cannot read")
                elif found != (block(number) if number else bytes(BLOCK)):
                    wrong.append(f"attachment {id} reads something else at {offset} than was written there")
        return wrong

    def close(self) -> None:
        for holder in self._present.values():
            holder.close()
        self._present.clear()
