"""
A real object store for one run of the tests, which answers S3 and Swift: Ceph's gateway on a Ceph of one monitor and
one storage daemon that keeps its objects in memory, started by the worker that needs it first, stopped at the end.

A cluster whose test run was killed is stopped by the next run.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.runs import born, clear_away_dead, kill, new_home

HOMES = "moorage-ceph-"  # in the temporary directory: one for each run
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "ceph-common ceph-mon ceph-osd radosgw"
PATH = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))

CONF = """
[global]
fsid = {fsid}
mon_host = [v1:127.0.0.1:{port}/0]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 1
mon_data_avail_crit = 0
{engine}
osd_op_num_threads_per_shard = 1
osd_op_num_shards = 2
admin_socket =
pid_file =
run_dir = {home}
log_file = /dev/null
mon_cluster_log_file = /dev/null
debug_default = 0
mon_data = {home}/mon
osd_data = {home}/osd
host = localhost
rgw_cache_enabled = false
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_thread_pool_size = 64
rgw_gc_obj_min_wait = 1
rgw_bucket_quota_ttl = 0
rgw_user_quota_bucket_sync_interval = 1
"""


IN_MEMORY = """
osd_objectstore = memstore
memstore_device_bytes = 2147483648
"""
ON_DISK = """
osd_objectstore = bluestore
bluestore_block_size = 34359738368
bluestore_compression_mode = force
bluestore_compression_algorithm = snappy
osd_memory_target = 939524096
"""


@dataclass(frozen=True)
class Gateway:
    """Where the gateway is, and a user of it who has buckets and containers."""

    url: str
    access: str
    secret: str
    swift_user: str
    swift_key: str
    home: str

    @property
    def auth_v1(self) -> str:
        return f"{self.url}/auth/v1.0"

    def admin(self, *arguments: str) -> str:
        """What `radosgw-admin` prints."""
        done = subprocess.run(
            ["radosgw-admin", *on(self.home), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": PATH},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout


class Cluster:
    """The run's cluster, wherever in the run it was started."""

    def __init__(self, run: Path) -> None:
        self._note, self._lock = run / "radosgw.json", run / "radosgw.lock"

    def gateway(self) -> Gateway:
        """The gateway; starts it when nobody has yet. The test is skipped where it is not installed."""
        if absent := missing():
            pytest.skip(f"{', '.join(absent)} not installed (Debian: {PACKAGES})")
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not self._note.exists():
                self._note.write_text(json.dumps(start()))
            return Gateway(**json.loads(self._note.read_text()))

    def stop(self) -> None:
        """Leave no daemon and no files. For the session that outlives all workers."""
        if self._note.exists():
            end(Path(json.loads(self._note.read_text())["home"]))
            self._note.unlink()


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


def start(engine: str = IN_MEMORY) -> Mapping[str, str]:
    """Start a cluster and a gateway in a new directory; objects are kept as `engine` says."""
    clear_away_dead(HOMES, end)
    home = new_home(HOMES)
    try:
        return _started(home, engine)
    except BaseException:
        end(home)
        raise


def _started(home: Path, engine: str) -> Mapping[str, str]:
    port, fsid = free_port(), str(uuid.uuid4())
    (home / "conf").write_text(CONF.format(fsid=fsid, port=port, home=home, engine=engine))
    (home / "mon").mkdir()
    (home / "osd").mkdir()
    run("monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{port}]", "--fsid", fsid, str(home / "monmap"))
    run("ceph-mon", "--mkfs", "-i", "a", *on(home), "--monmap", str(home / "monmap"))
    daemon(home, "ceph-mon", "-f", "-i", "a")
    osd = str(uuid.uuid4())
    ask_until_answered("ceph", *on(home), "osd", "new", osd, "0")
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd, *on(home))
    daemon(home, "ceph-osd", "-f", "-i", "0")
    gateway = free_port()
    url = f"http://127.0.0.1:{gateway}"
    daemon(home, "radosgw", "-f", "-n", "client.rgw", f"--rgw-frontends=beast endpoint=127.0.0.1:{gateway}")
    wait_for(url)
    access, secret, key = (secrets.token_hex(16) for _ in range(3))
    user = ("--uid=moorage", "--display-name=Moorage")
    run("radosgw-admin", *on(home), "user", "create", *user, f"--access-key={access}", f"--secret-key={secret}")
    sub = ("--subuser=moorage:swift", "--key-type=swift", f"--secret-key={key}", "--access=full")
    run("radosgw-admin", *on(home), "subuser", "create", "--uid=moorage", *sub)
    return {
        "url": url,
        "access": access,
        "secret": secret,
        "swift_user": "moorage:swift",
        "swift_key": key,
        "home": str(home),
    }


def on(home: Path | str) -> tuple[str, ...]:
    """What tells a program of Ceph's which cluster is meant."""
    return ("--conf", f"{home}/conf", "--no-mon-config")


def run(*command: str) -> None:
    """Run to the end, within a minute."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PATH": PATH}
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")


def ask_until_answered(*command: str) -> None:
    """Run until it succeeds, for a minute at most."""
    for left in range(60, -1, -1):
        try:
            return run(*command[:1], "--connect-timeout", "5", *command[1:])
        except RuntimeError:
            if not left:
                raise
            time.sleep(0.5)


def daemon(home: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Start a daemon of the cluster, and remember it."""
    process = subprocess.Popen(
        [*command[:1], *on(home), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(home / f"{command[0]}.log").open("w"),
        start_new_session=True,
        cwd=home,
        env=os.environ | {"PATH": PATH},
    )
    with (home / "daemons").open("a") as note:
        note.write(json.dumps(born(process.pid)) + "\n")
    return process


class Own:
    """A gateway process of a test's own on the run's cluster, with the same users and objects, which it may harm."""

    def __init__(self, gateway: Gateway, *options: str) -> None:
        self.port, self._options = free_port(), options
        self.gateway = replace(gateway, url=f"http://127.0.0.1:{self.port}")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """It answers, unless it did so already."""
        if self._process is None:
            frontend = f"--rgw-frontends=beast endpoint=127.0.0.1:{self.port}"
            home = Path(self.gateway.home)
            self._process = daemon(home, "radosgw", "-f", "-n", "client.rgw", frontend, *self._options)
        self._process.send_signal(signal.SIGCONT)
        wait_for(self.gateway.url)

    def stop(self) -> None:
        """It does nothing more, until it is started; who connects is not refused."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """It is gone, and nobody answers where it was. Twice is fine."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Another one is there."""
        self.kill()
        self.start()


def wait_for(url: str) -> None:
    """Return when the gateway answers; it makes its pools first."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError("radosgw does not answer")


def daemons(home: Path) -> Iterator[int]:
    """The cluster's daemons that still run, the last started first."""
    with contextlib.suppress(FileNotFoundError):
        for line in reversed((home / "daemons").read_text().splitlines()):
            pid, started = json.loads(line)
            if started is not None and born(pid)[1] == started:
                yield pid


def end(home: Path) -> None:
    """Stop the daemons of `home` at once, by the pids that it has kept, and remove its files."""
    for pid in daemons(home):
        kill(pid, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)
