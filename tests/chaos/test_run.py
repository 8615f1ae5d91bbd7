"""A short run of chaos: its parts fit together, and it ends with a table and the right status."""

import subprocess
import sys

import pytest

from chaos.disk import load

try:
    load()
except ImportError:
    pytest.skip("needs python3-libnbd, for this version of Python", allow_module_level=True)

SHORT = ["--minutes", "0.25", "--clients", "3", "--volumes", "2", "--pause", "1.5", "--seed", "test"]


def chaos(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "chaos", *SHORT, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
def test_a_short_run_keeps_every_promise_and_says_what_it_did() -> None:
    done = chaos()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "| lost or wrong blocks, writes behind a fence | 0 |" in done.stdout
    assert "| stuck states | 0 |" in done.stdout
