"""
From what Block Storage says of an attachment to its bytes.

Whatever the kind, what is used in the end is an NBD connection over a socket: a gate's own, or that of a bridge, a
program beside this process that knows this one volume. A bridge ends when its connection is closed, and is tied to this
process until that stands: it cannot outlive this process, whatever kills it.
"""

import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moorage.core.errors import Problem
from moorage.drivers import daemons
from moorage.drivers.programs import find
from moorage.drivers.stores.volume import nbd
from moorage.drivers.ties import Tie

KINDS = ("nbd", "rbd", "local")
REACH_S = 20.0
END_S = 5.0


class NoWayIn(Problem):
    """Block Storage opened the volume in a way that this host cannot use: {why}"""

    status, code = 503, "store.no-way-in"


def open_door(info: Mapping[str, Any], ceph_conf: str) -> nbd.Connection:
    """A connection to the volume that `info`, an attachment's connection_info, describes."""
    kind = str(info.get("driver_volume_type", "")).lower()
    read_only = info.get("access_mode") == "ro"
    try:
        if kind == "nbd" and info.get("tls"):
            return _by_tls(info)
        if kind == "nbd" and info.get("socket"):
            return nbd.Connection(_reach(str(info["socket"])), str(info["export"]))
        if kind == "rbd":
            return _bridged(_rbd(info, ceph_conf, read_only))
        if kind == "local" and info.get("device_path"):
            mode = ["--read-only"] if read_only else []
            cached = ["--cache=none", "--aio=native", "--discard=unmap"]
            return _bridged(["qemu-nbd", *mode, *cached, "--format=raw", str(info["device_path"])])
    except nbd.Broken as problem:
        raise NoWayIn(why=str(problem)) from None
    except OSError as problem:
        raise NoWayIn(why=problem.strerror or type(problem).__name__) from None
    raise NoWayIn(why=f"connections of the kind {kind or 'unnamed'} are not known here, only {', '.join(KINDS)}.")


def _reach(path: str) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        peer.settimeout(REACH_S)
        peer.connect(path)
    except BaseException:
        peer.close()
        raise
    return peer


def _rbd(info: Mapping[str, Any], conf: str, read_only: bool) -> list[str]:
    pool, _, image = str(info["name"]).partition("/")
    if not image:
        raise NoWayIn(why="the name of the image in Ceph has no pool in it.")
    options = {"driver": "rbd", "pool": pool, "image": image, "conf": conf}
    if info.get("auth_username"):
        options["user"] = str(info["auth_username"])
    if any("," in value or "=" in value for value in options.values()):
        raise NoWayIn(why="the name of the image in Ceph has a comma in it.")
    words = ",".join(f"{name}={value}" for name, value in options.items())
    return ["qemu-nbd", *(["--read-only"] if read_only else []), "--cache=writeback", "--image-opts", words]


def _by_tls(info: Mapping[str, Any]) -> nbd.Connection:
    identity, key = str(info["tls_psk_identity"]), str(info["tls_psk"])
    with tempfile.TemporaryDirectory(prefix="moorage-psk-") as folder:  # 0700, and gone once the bridge has read it
        path = Path(folder) / "key"
        path.touch(mode=0o600)
        path.write_text(f"{identity}:{key}\n")
        place = [f"hostname={info['host']}", f"port={info['port']}", f"export={info['export']}"]
        trust = ["tls=require", f"tls-psk={path}", f"tls-username={identity}"]
        return _bridged(["nbdkit", "-f", "--filter=exitlast", "nbd", *place, *trust])


def _bridged(argv: list[str]) -> nbd.Connection:
    """A connection to `argv`, which takes over a socket on which it stands already."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        with tempfile.TemporaryDirectory(prefix="moorage-bridge-") as folder:  # 0700: nobody else gets in, ever
            listener.bind(f"{folder}/socket")
            listener.listen(1)
            peer = _reach(f"{folder}/socket")
        tie = Tie()
        try:
            find(argv[0])
            bridge = daemons.start(tie.command(argv), inherit=(tie.end,), listening=listener)
        except BaseException:
            tie.close()
            peer.close()
            raise
    bridge.go()
    try:
        connection = nbd.Connection(peer, "")
        tie.stands()
    except BaseException as problem:
        tie.close()
        bridge.identity.wait(END_S)  # the shell of the tie ends the program first, then itself
        said = bridge.abandon()
        if isinstance(problem, nbd.Broken):
            raise NoWayIn(why=said or str(problem)) from None
        raise
    tie.close()
    bridge.release()
    return connection
