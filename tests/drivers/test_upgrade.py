"""A process whose files are replaced, as an upgrade in place does, goes on as what it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import moorage

# What a running Moorage would be: it has begun before the upgrade, and needs its own programs after it.
RUNNING = """
import gzip, sys
from pathlib import Path
import moorage
from moorage.drivers.transformations.unpacking.process import Unpacker
from tests.drivers.origin import Origin, digests_of
from tests.drivers.plane import Plane
from tests.drivers.test_copies import DATA, NAME, SIZE, backend, head, same, servers

package, directory = Path(moorage.__file__).parent, Path(sys.argv[1])
assert package.parent == directory, package
plane = Plane(directory)
plane.backend = backend(plane, Origin(DATA))
for path in package.rglob("*.py"):
    path.write_text("raise SystemExit('of another version')")
try:
    plane.backend.make_copy(NAME, SIZE, digests_of(DATA))
    connection = plane.publish("a1", head(plane))
    same(connection)
    assert len(servers(plane)) == 1
    assert b"".join(Unpacker().unpack("gzip", iter([gzip.compress(DATA)]))) == DATA
finally:
    plane.backend.clear(plane.volume)
    plane.backend.close()
assert plane.empty(), plane.leftovers()
print("as ever")
"""


def test_an_upgrade_in_place_leaves_a_running_process_what_it_was(state_dir: Path) -> None:
    package = Path(moorage.__file__).parent
    shutil.copytree(package, state_dir / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    places = os.pathsep.join((str(state_dir), str(Path(__file__).parents[2])))
    found = subprocess.run(
        [sys.executable, "-B", "-c", RUNNING, str(state_dir)],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.stdout == "as ever\n", found.stderr
