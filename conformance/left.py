"""python -m conformance.left STATE: what is left of volumes, attachments, devices and operations; exit 1 if any."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import openstack

from tour.moorage import Moorage

DATA_PLANE = ("--blockdev", "nbdkit", "nbdfuse")


def what_is_left(admin: Any, state: Path) -> list[str]:
    """A line for each thing, as the API, the machine and the files see it; images aside."""
    moorage = Moorage(state)
    found = [f"volume {v.id} {v.status}" for v in admin.block_storage.volumes(all_projects=True)]
    found += [
        f"attachment {a.id} {a.status} of {a.volume_id}" for a in admin.block_storage.attachments(all_projects=True)
    ]
    found += [f"operation {o['id']} {o['kind']} {o['state']}" for o in _operations(admin)]
    found += [f"device {device}" for device in moorage.devices()]
    found += [f"process {pid}: {line[:200]}" for pid, line in moorage.processes().items() if _serves(line)]
    return found + [f"file {name}" for name in moorage.files() if name.startswith("volumes/")]


def _operations(admin: Any) -> list[dict[str, Any]]:
    root = admin.block_storage.get_endpoint().split("/volume/")[0]
    answer = admin.session.get(f"{root}/moorage/v1/operations", params={"state": "open"}, authenticated=True)
    return list(answer.json()["operations"])


def _serves(line: str) -> bool:
    return any(mark in line for mark in DATA_PLANE)


def main() -> None:
    """Look, and let `moorage doctor` look."""
    state = Path(sys.argv[1])
    found = what_is_left(openstack.connect(cloud="aside"), state)
    print("\n".join(found) or "Nothing is left.")
    doctor = subprocess.run(["moorage", "doctor", "--state", str(state)], capture_output=True, text=True, check=False)
    if doctor.returncode:
        print(doctor.stdout + doctor.stderr)
    sys.exit(bool(found or doctor.returncode))


if __name__ == "__main__":
    main()
