"""
The life of one volume's storage daemon: start it, talk to it, end it.

It listens on two sockets that we bound for it and that only we can open.  It knows nothing by itself: its node and its
exports are given to it over QMP.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from moorage.drivers import daemons, programs
from moorage.drivers.backends.files import qmp
from moorage.drivers.backends.files.layers import Layers, far_node, missing, short, upon_node
from moorage.drivers.backends.files.problems import ServerRefused
from moorage.drivers.backends.files.records import Records, Server
from moorage.drivers.backends.files.rights import Rights
from moorage.drivers.backends.files.sockets import Sockets
from moorage.volumes.backend import BackendUnsure, Layer

log = logging.getLogger(__name__)

QUIT_PATIENCE_S = 30.0
KILL_PATIENCE_S = 10.0
LET_GO_S = 10.0  #: how long reads of what is far away may hold up the daemon's answer, or the end of an export
NEAR_PATIENCE_S = 60.0  #: opening a node again waits for the requests that are under way


class _Conversation:
    """A connection to a daemon that several may use, one after the other."""

    def __init__(self) -> None:
        self.monitor: qmp.Monitor | None = None

    def end(self) -> None:
        """Hang up; nothing happens where nobody has spoken."""
        if self.monitor is not None:
            self.monitor.close()
            self.monitor = None


class Daemons:
    """Starts and ends daemons, and is the only one who talks to them."""

    def __init__(
        self,
        layers: Layers,
        records: Records,
        sockets: Sockets,
        rights: Rights,
        let_go: Callable[[Server], None] = lambda server: None,
        let_go_s: float = LET_GO_S,
    ) -> None:
        self._let_go, self._let_go_s = let_go, let_go_s  #: has the daemon's reads of far layers wait no longer
        self._layers, self.backend = layers, layers.backend
        self._records = records
        self._sockets = sockets
        self._rights = rights
        self._conversations: dict[str, _Conversation] = {}  #: by volume, whose verbs come one after the other

    def start(self, server: Server) -> None:
        """
        Leave a daemon running for `server`, with no node yet; its record is durable before it begins. One that hangs up
        before it has said a word had nothing yet, and is followed by another: QEMU 7.2 was seen to crash so, once.
        """
        try:
            self._start(server)
        except BackendUnsure as problem:
            if not isinstance(problem.__cause__, qmp.Gone):
                raise
            log.warning(
                "the storage daemon of volume %s ended before it answered: another one is started", server.volume
            )
            self._start(server)

    def _start(self, server: Server) -> None:
        try:
            daemon = self._begin(server.volume)
        except BaseException:
            self.forget(server.volume)
            raise
        server.process = daemon.identity
        try:
            self._records.save(server, durable=True)
            daemon.go()
            with self.talk(server, "start"):
                daemon.release()
        except BaseException as error:
            said = daemon.abandon()
            self.forget(server.volume)
            if isinstance(error, BackendUnsure) and said:  # one that was only silent is gone, and is tried again
                raise ServerRefused(volume=server.volume, verb="start", why=said) from error
            raise

    def _begin(self, volume: str) -> daemons.Daemon:
        control, data = self._sockets.monitor(volume), self._sockets.exports(volume)
        with self._sockets.listen(control) as controls, self._sockets.listen(data) as serves:
            inherit = (controls.fileno(), serves.fileno())
            argv = (
                "qemu-storage-daemon",
                "--chardev", f"socket,id=volume-{volume},fd={controls.fileno()},server=on,wait=off",
                "--monitor", f"chardev=volume-{volume},mode=control",
                "--nbd-server", f"addr.type=fd,addr.str={serves.fileno()},max-connections=0",
            )  # fmt: skip
            try:
                return daemons.start(argv, account=self._rights.daemon, inherit=inherit)
            except programs.ProgramMissing as problem:
                raise missing(problem, self.backend) from problem

    def load(self, server: Server, head: Layer, *, fresh: bool = False) -> None:
        """
        Leave the daemon with the node of `head` on its parents; one that has the parent's as its head goes on above it,
        with all its exports. A `fresh` one has nothing yet.
        """
        top, below = node(head.name), node(head.parent.name) if head.parent is not None else ""
        with self.talk(server, "open") as monitor:
            nodes = [] if fresh else monitor.ask("query-named-block-nodes", flat=True)
            known = {found["node-name"]: found for found in nodes}
            for name, options in self._layers.far_nodes(head).items():
                if name not in known:
                    monitor.ask("blockdev-add", node_name=name, **options)
            if below not in known:
                if top not in known:
                    monitor.ask("blockdev-add", node_name=top, **self._layers.chain(head))
                return
            if top not in known:
                monitor.ask("blockdev-add", node_name=top, **{**self._layers.chain(head), "backing": None})
            if not known.get(top, {}).get("backing_file"):
                monitor.ask("blockdev-snapshot", node=below, overlay=top)

    def bring_near(self, server: Server, copy: str) -> bool:
        """
        Leave the daemon reading `copy`, which it has read by another server, as the file that it is by now: its clients
        notice nothing. False: it cannot, and goes on as before. Nobody else may talk with it meanwhile.
        """
        try:
            with qmp.Monitor(self._sockets.monitor(server.volume), NEAR_PATIENCE_S) as monitor:
                return self._bring_near(monitor, server, copy)
        except (qmp.Silent, qmp.Gone, qmp.Refusal) as problem:
            log.warning("volume %s goes on reading %s by its server: %r", server.volume, copy, problem)
            return False

    def _bring_near(self, monitor: qmp.Monitor, server: Server, copy: str) -> bool:
        far, upon = far_node(copy), server.layers[server.layers.index(copy) - 1]
        known = {found["node-name"]: found for found in monitor.ask("query-named-block-nodes", flat=True)}
        if far not in known:
            return True
        name = next((name for name in (node(upon), upon_node(upon)) if name in known), None)
        if name is None:  # an earlier version has made it
            return False
        near = self._layers.near_node(copy, known[far]["drv"])
        if near["node-name"] not in known:
            monitor.ask("blockdev-add", **near)
        again = self._layers.upon(upon, name, read_only=known[name]["ro"], backing=near["node-name"])
        monitor.ask("blockdev-reopen", options=[again])
        monitor.ask("blockdev-del", node_name=far)
        return True

    @contextmanager
    def talk(self, server: Server, verb: str) -> Iterator[qmp.Monitor]:
        """A conversation. A daemon that is silent or hangs up is killed, and `BackendUnsure` says so."""
        try:
            with self._monitor(server) as monitor:
                yield monitor
        except (qmp.Silent, qmp.Gone) as error:
            self.kill(server, verb)
            raise BackendUnsure(backend=self.backend, verb=verb) from error
        except qmp.Refusal as error:
            raise ServerRefused(volume=server.volume, verb=verb, why=str(error)) from error

    @contextmanager
    def conversation(self, volume: str) -> Iterator[None]:
        """What is said to the daemon of `volume` within the block is said over one connection, made when needed."""
        held = self._conversations[volume] = _Conversation()
        try:
            yield
        finally:
            del self._conversations[volume]
            held.end()

    @contextmanager
    def _monitor(self, server: Server) -> Iterator[qmp.Monitor]:
        held = self._conversations.get(server.volume)
        if held is None:
            with self._connected(server) as monitor:
                yield monitor
            return
        if held.monitor is None:
            held.monitor = self._connected(server)
        try:
            yield held.monitor
        except qmp.Refusal:
            raise
        except BaseException:  # nobody knows any more what the daemon will say next: whoever goes on, begins afresh
            held.end()
            raise

    def _connected(self, server: Server) -> qmp.Monitor:
        """
        What opens, freezes or closes waits for the reads that are under way, and those may wait for bytes from far
        away: then they are let go. Nobody is while we only have the daemon to ourselves, however slowly it flushes.
        """
        path = self._sockets.monitor(server.volume)
        if not self._layers.far(server.layers):
            return qmp.Monitor(path)
        hurry = qmp.Hurry(self._let_go_s, lambda: self._let_go(server))
        return qmp.Monitor(path, qmp.PATIENCE_S + 2 * self._let_go_s, hurry)

    def kill(self, server: Server, verb: str) -> None:
        """Leave no process; a kernel that does not let it go is answered with `BackendUnsure`."""
        if self._records.alive(server) and not server.process.end(KILL_PATIENCE_S):
            raise BackendUnsure(backend=self.backend, verb=verb)

    def stop(self, server: Server) -> None:
        """End a daemon in good order, or else by force, and forget it."""
        self.end(server)
        self.forget(server.volume)

    def end(self, server: Server) -> None:
        """End a daemon in good order, or else by force; what is written down of it stays."""
        if self._records.alive(server):
            try:
                with self._monitor(server) as monitor:
                    monitor.ask("quit")
                server.process.wait(QUIT_PATIENCE_S)
            except (qmp.Silent, qmp.Gone, qmp.Refusal):
                pass
            self.kill(server, "stop")

    def forget(self, volume: str) -> None:
        """Remove what a daemon of `volume` that has ended, or never began, left."""
        if volume in self._conversations:
            self._conversations[volume].end()
        self._sockets.monitor(volume).unlink(missing_ok=True)
        self._sockets.exports(volume).unlink(missing_ok=True)
        self._records.remove(volume)


def node(layer: str) -> str:
    """What a daemon calls the node of the head `layer`; parents that it never wrote to have no name."""
    return "n" + short(layer)
