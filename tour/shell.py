"""Running commands as a user would, saying so, and failing loudly."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


class Failed(SystemExit):
    """The tour ends here."""


def say(text: str) -> None:
    """A line of the tour."""
    print(f"\n== {text}", flush=True)


class Shell:
    """A user's terminal: an environment, and commands run in it."""

    def __init__(self, **environment: str) -> None:
        self._environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
            **environment,
        }

    def run(self, *command: str | Path, fails: bool = False, quiet: bool = False) -> str:
        """Run the command; what it printed. With `fails` it must fail."""
        if not quiet:
            print("$ " + " ".join(str(part) for part in command), flush=True)
        done = subprocess.run(
            [str(part) for part in command],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        shown = (done.stdout + done.stderr).rstrip()
        if not quiet and shown:
            print(shown if len(shown) < 3000 else shown[:3000] + " ...", flush=True)
        if (done.returncode != 0) != fails:
            raise Failed(f"FAILED ({done.returncode}): {' '.join(str(part) for part in command)}\n{shown}")
        return done.stdout.strip()

    def json(self, *command: str) -> Any:
        """What an `openstack` command answers, as data."""
        return json.loads(self.run(*command, "-f", "json", quiet=True))


def eventually(what: str, true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it is true."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise Failed(f"FAILED: {what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)


def insist(what: str, true: bool) -> None:
    """Fail loudly unless it is true."""
    if not true:
        raise Failed(f"FAILED: {what}")
    print(f"   {what}: yes", flush=True)
