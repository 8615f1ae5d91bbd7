"""A store that is lost and found: each process tells of it in events, and `why` knows of it from all of them."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.place import Place
from tests.api.moorage.following import Reader
from tests.patience import until
from tests.server import Process, clear, down

FAR = '[[stores]]\nid = "near"\ndefault = true\n[[stores]]\nid = "far"\npath = "{path}"\n'


class Site:
    """Two processes, and a store `far` that can be taken away."""

    def __init__(self, state: Path, url: str) -> None:
        self.disk, self.unplugged = state / "disk", state / "unplugged"
        self.disk.mkdir()
        (state / "moorage.toml").write_text(FAR.format(path=self.disk / "store"))
        self.up = Process(state, MOORAGE_DATABASE=url).ready()
        self.api = Process(state, "api", MOORAGE_DATABASE=url).ready()

    def lose(self) -> None:
        self.disk.rename(self.unplugged)
        self.disk.write_text("a file where the disk was")

    def find(self) -> None:
        self.disk.unlink()
        self.unplugged.rename(self.disk)

    def upload(self, by: Process) -> int:
        """What an upload to the store is answered."""
        asked = {"disk_format": "raw", "container_format": "bare"}
        id = by.call("POST", "/image/v2/images", asked).json["id"]
        connection = http.client.HTTPConnection("127.0.0.1", by.port, timeout=60)
        said = {"Content-Type": "application/octet-stream", "X-Image-Meta-Store": "far", "X-Auth-Token": by.token()}
        connection.request("PUT", f"/image/v2/images/{id}/file", b"bytes", said)
        status = connection.getresponse().status
        connection.close()
        return status

    def events(self) -> list[dict[str, Any]]:
        found = self.up.call("GET", "/moorage/v1/events?kind=store", token=self.up.token("moorage-admin"))
        return list(found.json["events"])

    def told(self) -> list[tuple[str, str]]:
        return [(event["what"], event["facts"]["role"]) for event in self.events()]

    def why(self, by: Process, cloud: str = "moorage-admin") -> dict[str, Any]:
        return dict(by.call("GET", "/moorage/v1/why/store/far", token=by.token(cloud)).json["why"])


@pytest.fixture
def site(state_dir: Path, database_url: str) -> Iterator[Site]:
    site = Site(state_dir, database_url)
    yield site
    site.up.kill()
    site.api.kill()
    down(state_dir, MOORAGE_DATABASE=database_url)
    clear(Place(state_dir))


def test_a_store_that_is_lost_and_found_is_told_of(site: Site) -> None:
    reader = Reader(site.api.port, site.api.token("moorage-admin"), "?kind=store")
    ours = Reader(site.api.port, site.api.token(), "?kind=store")
    assert site.upload(site.up) == site.upload(site.api) == 204
    assert site.events() == []
    site.lose()
    assert site.upload(site.api) == 503
    until(lambda: site.told() == [("store.disabled", "api")])
    (event,) = site.events()
    assert (event["resource_id"], event["project_id"], event["facts"]["pid"]) == ("far", None, site.api.popen.pid)
    assert event["facts"]["reason"] == "Not a directory"
    assert reader.events(1) == [event]

    mine, other = site.why(site.api), site.why(site.up)
    assert (mine["state"], mine["blockers"]) == ("disabled", [])
    assert (other["state"], [part["kind"] for part in other["blockers"]]) == ("usable", ["process"])
    assert "moorage api on" in other["blockers"][0]["sentence"]
    assert f"pid {site.api.popen.pid}, cannot use it since 2" in other["blockers"][0]["sentence"]
    assert site.why(site.up, "moorage")["blockers"] == []  # of processes only administrators are told

    assert site.upload(site.up) == 503
    until(lambda: len(site.told()) == 2)
    assert [part["id"] for part in site.why(site.up)["blockers"]] == [event["facts"]["process"]]
    site.find()
    until(lambda: len(site.told()) == 4)
    assert set(site.told()[2:]) == {("store.usable", "api"), ("store.usable", "up")}
    assert all(found["facts"]["away_s"] > 0 for found in site.events()[2:])
    assert reader.events(3) == site.events()[1:]
    assert site.upload(site.up) == site.upload(site.api) == 204
    for process in (site.up, site.api):
        assert (site.why(process)["state"], site.why(process)["blockers"]) == ("usable", [])
    assert site.api.end() == 0
    assert [message for message in ours if message.data] == []  # it belongs to no project


def test_who_died_while_a_store_was_lost_is_not_asked_any_more(site: Site) -> None:
    site.lose()
    assert site.upload(site.api) == 503
    until(lambda: site.told() == [("store.disabled", "api")])
    assert len(site.why(site.up)["blockers"]) == 1
    site.api.kill()
    assert site.why(site.up)["blockers"] == []
    site.find()
    assert site.upload(site.up) == 204
    assert site.told() == [("store.disabled", "api")]
