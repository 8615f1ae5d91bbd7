"""
A store whose service itself is killed, stopped or restarted in the middle of upload, download and delete: clear errors,
nothing lost, no leftover, and everything else goes on.
"""

import threading

import pytest

from tests import radosgw
from tests.stores.test_faults import DATA, MIB, copy_near, filled, message, nothing_open, until, usable

HARMS = ("kill", "stop", "restart")


@pytest.fixture(scope="module")
def own(gateway):
    """A gateway of these tests' own."""
    own = radosgw.Own(gateway)
    yield own
    own.kill()


@pytest.fixture
def way(own):
    own.start()
    return own


@pytest.fixture
def patience_s():
    return 2.0


def harmed(world, harm):
    getattr(world.way, harm)()


def mended(world):
    world.way.start()
    until(lambda: usable(world))


def in_the_middle(world, harm):
    """The data as a client sends them, its service harmed on the way."""
    for start in range(0, len(DATA), MIB):
        if start == 8 * MIB:
            harmed(world, harm)
        yield DATA[start : start + MIB]


def elsewhere(world):
    """Another store's images come and go as ever."""
    id = world.cloud.image()
    assert world.cloud.upload(id, DATA, headers={"x-image-meta-store": "near"}).status == 204
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    assert world.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204


@pytest.mark.parametrize("harm", HARMS)
def test_an_upload_meets_it(world, harm):
    id = world.cloud.image()
    reply = world.cloud.upload(id, in_the_middle(world, harm))
    if reply.status != 204:
        assert reply.status == 503 and "store far" in message(reply), message(reply)
        assert world.cloud.show(id)["status"] == "queued"
        elsewhere(world)
        mended(world)
        until(lambda: nothing_open(world))
        assert world.direct.names() == frozenset()
        assert world.cloud.upload(id, DATA).status == 204
    assert reply.status == 503 or harm == "restart"
    assert world.cloud.call("GET", f"/image/v2/images/{id}/file").body == DATA
    assert len(world.direct.names()) == 1


@pytest.mark.parametrize("harm", HARMS)
def test_a_download_meets_it(world, harm):
    """What it has begun with breaks off or is whole; what has another copy is whole."""
    alone, twice = filled(world), filled(world)
    copy_near(world, twice)
    readers = [Reader(world, alone), Reader(world, twice), Reader(world, alone)]
    harmed(world, harm)
    for reader in readers:
        reader.join(90)
        assert not reader.is_alive()
        assert DATA.startswith(reader.reply.body) or reader.reply.status == 503
        assert reader.reply.body == DATA or reader.reply.broken or reader.reply.status == 503
    assert readers[1].reply.body == DATA
    assert world.cloud.call("GET", f"/image/v2/images/{twice}/file").body == DATA
    mended(world)
    assert world.cloud.call("GET", f"/image/v2/images/{alone}/file").body == DATA


class Reader(threading.Thread):
    """Somebody who downloads an image."""

    def __init__(self, world, id):
        super().__init__(daemon=True)
        self.world, self.id, self.reply = world, id, None
        self.start()

    def run(self):
        self.reply = self.world.cloud.call("GET", f"/image/v2/images/{self.id}/file")


@pytest.mark.parametrize("harm", HARMS)
def test_a_delete_meets_it_and_is_done_when_it_is_back(world, harm):
    ids, other = [filled(world) for _ in range(3)], filled(world)
    for number, id in enumerate(ids):
        assert world.cloud.call("DELETE", f"/image/v2/images/{id}").status == 204
        if number == 1:
            harmed(world, harm)
    elsewhere(world)
    mended(world)
    until(lambda: nothing_open(world))
    assert {name.split("/")[1] for name in world.direct.names()} == {other}
    assert world.cloud.call("GET", f"/image/v2/images/{other}/file").body == DATA
