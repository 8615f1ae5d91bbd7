"""
Flows of images whose owner is stopped in the middle and succeeded: with short leases, and the host lock where they need
it, as they run outside of tests.
"""

from collections.abc import Callable
from pathlib import Path

from moorage.operations.host_lock import HostLock
from moorage.operations.runner import Runner
from tests.flows import (
    conversion_scenes,
    copy_scenes,
    image_volume_scenes,
    image_world,
    import_world,
    test_hash_crashes,
    upload_scenes,
)
from tests.flows.volume_world import QUEUES
from tests.operations.crash import Scene

LEASE_S = 1.0


def _brief(scene: Scene) -> Scene:
    scene.lease_s = LEASE_S
    return scene


def _locked(scene: Scene, state: Path) -> Scene:
    """What touches daemons and volume files is done by whoever has the host lock, who kills one that is stopped."""

    def start(runner: Runner) -> None:
        assert HostLock(state / "host.lock", scene.database, lease_s=LEASE_S).acquire(60)
        for queue in QUEUES:
            runner.serve(queue)

    scene.start, scene.queues = start, ()
    return _brief(scene)


def anywhere(make: Callable[[str, Path], Scene]) -> Callable[[str, Path], Scene]:
    """That scene, whose operation any process may carry out."""
    return lambda url, state: _brief(make(url, state))


def here(make: Callable[[str, Path], Scene]) -> Callable[[str, Path], Scene]:
    """That scene, whose operation only this host can carry out."""
    return lambda url, state: _locked(make(url, state), state)


importing = anywhere(import_world.importing)
fetching = anywhere(import_world.fetching)
copying = anywhere(import_world.copying)
leaving = anywhere(import_world.leaving)
deleting = anywhere(image_world.deleting)
hashing = anywhere(test_hash_crashes.hashing)
comparing = anywhere(test_hash_crashes.comparing)
hydrating = here(copy_scenes.hydrated)
awaiting = here(copy_scenes.downloaded)
showing = here(upload_scenes.show)
copying_a_volume = here(upload_scenes.copy)
converting = anywhere(conversion_scenes.importing)
converting_for_a_volume = here(conversion_scenes.volume)
cloning = here(image_volume_scenes.from_image_volume)
