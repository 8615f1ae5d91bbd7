"""Secrets that configuration names and does not hold: in a file, or in a variable of the environment."""

import os
from pathlib import Path

_LONGEST = 64 << 10


class SecretMissing(Exception):
    """Why a secret cannot be had; never the secret."""


def read(what: str, file: str, env: str) -> str:
    """The secret `what`, as the file holds it without its last line end, or else as the variable does."""
    if file:
        try:
            with Path(file).expanduser().open("rb") as opened:
                text = opened.read(_LONGEST).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SecretMissing(f"{what} is not readable in {file}: {why}") from None
    elif env:
        text = os.environ.get(env, "").strip()
    else:
        raise SecretMissing(f"the configuration names neither a file nor a variable that holds {what}")
    if not text:
        raise SecretMissing(f"{what} is empty in {file or 'the variable ' + env}")
    return text
