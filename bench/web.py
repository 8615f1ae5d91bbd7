"""nginx on a folder: what a download is compared with, and the web server of images that are located there."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = """
daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log; user {user};
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 75; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def nginx(folder: Path, file: Path) -> Iterator[tuple[int, int]]:
    """nginx on the folder of the file, with what it needs in `folder`: its port and pid; 0 if it is not installed."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        print("nginx is not installed (scripts/setup bench): only Moorage is measured\n")
        yield 0, 0
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    user = "root" if os.geteuid() == 0 else "nobody"
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port, root=file.parent, user=user))
    process = subprocess.Popen([program, "-c", str(settings), "-p", str(folder), "-e", str(folder / "error.log")])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)
