"""The way to a real service: a TCP proxy that a test breaks, slows or makes talk nonsense, and mends again."""

import contextlib
import select
import socket
import threading
import time

PACES = {"slow": (4096, 0.02), "trickle": (3, 0.2)}  #: bytes at a time, and seconds after them


class Way:
    """Forwards 127.0.0.1:`port` to the service at `target`, in the manner of `mood`, which may change at any time."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self.mood = "well"  #: well, away, silent, garbage, slow, or trickle
        self.break_after = -1  #: bytes from the service after which a connection breaks, once; less than 0: never
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Nobody is there any more."""
        self._over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # who waits in `accept` would go on with the next of that number
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def become(self, mood: str) -> None:
        """Be so from now on, for those who are connected as well."""
        self.mood = mood
        if mood == "away":
            self.cut()

    def _serve(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        service = socket.socket()
        pair = {client, service}
        self._open |= pair
        try:
            if self.mood == "away":
                return
            service.connect(self._target)
            self._pass_on(client, service)
        except OSError:
            pass
        finally:
            self._open -= pair
            for one in pair:
                one.close()

    def _pass_on(self, client: socket.socket, service: socket.socket) -> None:
        while not self._over and self.mood != "away":
            ready, _, _ = select.select([client, service], [], [], 0.1)
            if self.mood == "silent":
                time.sleep(0.05)
                continue
            for source in ready:
                most, pause_s = PACES.get(self.mood, (65536, 0.0))
                data = source.recv(most)
                if not data:
                    return
                time.sleep(pause_s)
                if source is service and self.mood == "garbage":
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Type: text/html\r\n\r\n<garbage>")
                    return
                if source is service and self.break_after >= 0:
                    if self.break_after < len(data):
                        client.sendall(data[: self.break_after])
                        self.break_after = -1
                        return
                    self.break_after -= len(data)
                (client if source is service else service).sendall(data)
