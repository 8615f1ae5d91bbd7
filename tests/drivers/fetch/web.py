"""A real HTTP server for tests, on 127.0.0.1: what it answers is given byte by byte, what it is asked is kept."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Web:
    """Answers `GET path` with `pages[path]`: bytes, or what writes them to the connection and then hangs up."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.pages: dict[str, bytes | Callable[[socket.socket], None]] = {}
        self.asked: list[str] = []  #: the heads of all requests
        self.names: list[str | None] = []  #: what TLS clients said whom they look for
        self._tls = tls
        if tls is not None:
            tls.sni_callback = lambda _, name, __: self.names.append(name)
        self._listener = socket.create_server((host, port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}{path}"

    def close(self) -> None:
        """Nobody is there any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            self.asked.append(head.decode())
            page = self.pages.get(head.split()[1].decode(), answer(404))
            if callable(page):
                page(connection)
            else:
                connection.sendall(page)
            if self._tls is not None:
                connection.unwrap()
        except (OSError, ValueError):
            pass  # the client has hung up, or the page has
        finally:
            connection.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer with a length, unless `Content_Length` says another one."""
    named = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join((*lines, "", "")).encode() + body


@contextmanager
def web(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    server = Web(tls)
    try:
        yield server
    finally:
        server.close()


def certified(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for these names, and the certificate that makes a client trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    return context, certificate
