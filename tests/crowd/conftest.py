"""A real server with a real data plane for crowds of clients, and the check that nothing of it is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import judge
from chaos.wire import Answer, Wire, auth, service
from moorage.place import Place
from tests.drivers.clients import libnbd
from tests.patience import eventually
from tests.server import Process, clear, down

assert libnbd  # or the tests are skipped


class Crowd:
    """One server, and what its clients' calls and its leftovers are checked with."""

    def __init__(self, state: Path, url: str) -> None:
        self.state, self.place, self.url = state, Place(state), url
        self.server = Process(state, MOORAGE_DATABASE=url).ready()
        self.refused: list[str] = []
        self.admin = self.wire("moorage-admin")
        self._service = Wire([self.server.port], service(self.admin))
        self.demo = self.wire("moorage")

    def wire(self, cloud: str) -> Wire:
        """Whoever calls; a tenant comes through Compute, whose service token vouches for him."""

        def heard(method: str, path: str, answer: Answer) -> None:
            if answer.status >= 400:
                self.refused.append(f"{method} {path}: {answer.status} {answer.sentence()}")

        vouching = self._service if cloud == "moorage" else None
        return Wire([self.server.port], auth(self.place.clouds, cloud), service=vouching, heard=heard)

    def shared(self, count: int) -> list[str]:
        """New volumes that several may use."""
        asked = {"volume_type": {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}}
        type_id = self.admin.call("POST", "/volume/v3/types", asked).json["volume_type"]["id"]
        body = {"volume": {"size": 1, "volume_type": type_id}}
        made = [self.demo.call("POST", "/volume/v3/volumes", body).json["volume"]["id"] for _ in range(count)]
        for id in made:
            self.server.until(f"/volume/v3/volumes/{id}", "available")
        return made

    def leftovers(self) -> list[str]:
        """Rows that disagree or are not at rest, and what is left of the data plane."""
        verdict = judge.Verdict()
        judge.rows(self.url, verdict)
        return [*verdict.wrong, *verdict.stuck, *judge.machine_is_clean(self.place, spares=True)]

    def nothing_left(self) -> bool:
        return eventually(lambda: not self.leftovers())


@pytest.fixture
def crowd(state_dir: Path, database_url: str) -> Iterator[Crowd]:
    made = Crowd(state_dir, database_url)
    try:
        yield made
    finally:
        made.server.end()
        down(state_dir, MOORAGE_DATABASE=database_url)
        clear(made.place)
