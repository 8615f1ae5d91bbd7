"""The process that unpacks can do nothing else: each door is tried from inside, and is closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.drivers.transformations import unpacking

BEFORE = f"""
import sys, os, socket, mmap, ctypes, subprocess, signal, resource
sys.path.append({unpacking.__path__[0]!r})
import child
child.confine(256 << 20, 1, 64733)
def outcome(what):
    try:
        return "open:" + repr(what())[:50]
    except BaseException as error:
        return type(error).__name__
"""

TRIES = {
    # what                    from inside                                                                ends in
    "read a file":         ("open('/etc/passwd', 'rb').read(1)",                                         "OSError"),
    "read our own":        (f"open({str(Path(__file__))!r}, 'rb').read(1)",                              "OSError"),
    "write a file":        ("open('/tmp/moorage-escape', 'wb').write(b'x')",                             "OSError"),
    "list a folder":       ("os.listdir('/')",                                                           "OSError"),
    "connect by TCP":      ("socket.create_connection(('127.0.0.1', 22))",                               "OSError"),
    "a unix socket":       ("socket.socket(socket.AF_UNIX)",                                             "OSError"),
    "any socket":          ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",                         "OSError"),
    "a pipe":              ("os.pipe()",                                                                 "OSError"),
    "one more descriptor": ("os.dup(0)",                                                                 "OSError"),
    "memory":              ("len(bytearray(300 << 20))",                                                 "MemoryError"),
    "more descriptors":    ("resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))",                      "ValueError"),
}  # fmt: skip


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-B", "-c", BEFORE + code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("what", "ends"), TRIES.values(), ids=TRIES.keys())
def test_there_is_no_way_out(what, ends):
    said = run(f"os.write(1, outcome(lambda: {what}).encode())").stdout
    assert said in {ends, "PermissionError", "BlockingIOError"} - ({"open"}), said


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to give up")
def test_it_is_nobody_and_starts_nothing():
    assert run("os.write(1, repr((os.getresuid(), os.getresgid(), os.getgroups())).encode())").stdout == repr(
        ((64733,) * 3, (64733,) * 3, [])
    )
    for what in ("os.fork()", "os.setuid(0)", "os.kill(1, 0)"):
        said = run(f"os.write(1, outcome(lambda: {what}).encode())").stdout
        assert said in ("PermissionError", "BlockingIOError"), said


def test_it_gains_no_rights_by_other_programs():
    said = run("os.write(1, str(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)).encode())").stdout  # PR_GET_NO_NEW_PRIVS
    assert said == "1"


def test_its_time_is_limited():
    assert run("\nwhile True: pass\n").returncode == -9  # SIGXCPU and SIGKILL come together: soft and hard are one
