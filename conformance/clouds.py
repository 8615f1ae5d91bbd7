"""python -m conformance.clouds port | write FROM TO PORT | judge DIFFERENCES KNOWN: what `run` needs besides shell."""

import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml


def port() -> None:
    """Print a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        print(probe.getsockname()[1])


def write(source: str, target: str, tap: str) -> None:
    """Write a clouds.yaml: `user` and `admin`, which the walk wants, at the recorder's port; `aside` goes past it."""
    there = yaml.safe_load(Path(source).read_text())["clouds"]
    clouds = {"user": there["moorage"], "admin": there["moorage-admin"]}
    for cloud in clouds.values():
        cloud["auth"]["auth_url"] = f"http://127.0.0.1:{tap}{urlsplit(cloud['auth']['auth_url']).path}"
    clouds["aside"] = yaml.safe_load(Path(source).read_text())["clouds"]["moorage-admin"]
    Path(target).write_text(yaml.safe_dump({"clouds": clouds}))


def judge(differences: str, known: str) -> None:
    """Print what no pattern of `known` covers, and the count of what was compared; exit 1 on any, or if nothing was."""
    patterns = [re.compile(line) for line in Path(known).read_text().splitlines() if line and not line.startswith("#")]
    lines = Path(differences).read_text().splitlines()
    found = [line for line in lines[:-1] if not line.startswith("not recorded")]
    unknown = [line for line in found if not any(pattern.search(line) for pattern in patterns)]
    print("\n".join(unknown))
    print(lines[-1] if lines else "nothing was compared")
    print(f"{len(found) - len(unknown)} of {len(found)} differences are known; {len(unknown)} are not")
    compared = re.search(r"in ([1-9][0-9]*) compared", lines[-1]) if lines else None
    sys.exit(bool(unknown) or compared is None)


if __name__ == "__main__":
    {"port": port, "write": write, "judge": judge}[sys.argv[1]](*sys.argv[2:])
