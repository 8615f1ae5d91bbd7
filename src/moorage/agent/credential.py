"""
What an agent proves itself with: which Moorage, which host, and the host's own secret.

It lies in the state directory, for nobody else to read, and is never an argument of a process.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from moorage.core.errors import Problem

MOST_BYTES = 4096
NAME = "host.json"  #: of its file, in the directory of keys


class NoCredential(Problem):
    """This host has no credential for {url}: {why}"""

    code = "agent.no-credential"


@dataclass(frozen=True)
class Credential:
    """One host's, for one Moorage."""

    url: str
    name: str
    secret: str = field(repr=False)


def kept(path: Path) -> Credential | None:
    """The credential that is kept there; None where there is none."""
    try:
        return Credential(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise NoCredential(url="any Moorage", why=f"{path} is not what was written there.") from None


def keep(path: Path, credential: Credential) -> None:
    """Keep it, for nobody else to read; durable."""
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(asdict(credential)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def obtain(
    path: Path, url: str, name: str, secret_file: Path | None, register: Callable[[str], str] | None
) -> Credential:
    """The host's credential: from the file, else the one that is kept, else a new one by registering."""
    there = kept(path)
    if secret_file is not None:
        secret = secret_file.read_text()[:MOST_BYTES].strip()
    elif there is not None and there.name == name:
        secret = there.secret
    elif register is not None:
        secret = register(name)
    else:
        raise NoCredential(
            url=url, why="give --secret-file, or the administrator's cloud with --os-cloud to register it."
        )
    found = Credential(url.rstrip("/"), name, secret)
    if found != there:
        keep(path, found)
    return found
