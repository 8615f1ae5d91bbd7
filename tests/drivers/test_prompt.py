"""What stores ask is answered as soon as it is sent."""

import socket
import threading

from moorage.drivers.stores.remote import Remote

TIMES = 4  #: from the second question on one connection on, the kernel would wait for something to send along


def test_the_head_of_an_answer_is_acknowledged_at_once() -> None:
    """Who sends the head by itself and then a short body sends that when he knows of the head."""
    go_on = threading.Semaphore(0)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(TIMES):
                asked = b""
                while not asked.endswith(b"\r\n\r\n"):
                    asked += connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
                go_on.acquire(timeout=60)
                connection.sendall(b"some")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        remote = Remote(5, 60)
        for _ in range(TIMES):
            response = remote.open("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/a")
            connection = response.connection.sock  # type: ignore[attr-defined]
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
            go_on.release()
            assert response.read() == b"some"
            response.release_conn()
        remote.close()
