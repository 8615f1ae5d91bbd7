"""
The description of the API: made from the rows that serve it, complete, and no call that it allows brings the server
down.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core import NotSet

from moorage.api.image.media import PATCHES
from moorage.api.openapi import describe
from tests.cloud import Cloud, Reply, running

EXAMPLES = 8  #: of each operation

schemathesis.serializer.alias(list(PATCHES), "application/json")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state: Path = tmp_path_factory.mktemp("openapi")
    state.chmod(0o711)
    with running(state) as cloud:
        yield cloud


def test_every_route_is_in_the_description(cloud: Cloud) -> None:
    described = describe(cloud.app.services)
    for service in cloud.app.services:
        for route in service.table:
            path = (service.base_path + route.path).rstrip("/") or "/"
            assert route.method.lower() in described["paths"][path], f"{route.method} {path}"


def test_the_description_is_served(cloud: Cloud) -> None:
    reply = cloud.call("GET", "/openapi.json", as_=None)
    assert reply.status == 200
    assert reply.json["openapi"].startswith("3.1")
    assert len(reply.json["paths"]) > 100


def operations(cloud: Cloud) -> list[schemathesis.APIOperation]:
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(describe(cloud.app.services))))
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.timeout(900)
def test_no_call_that_the_description_allows_ends_in_a_5xx(cloud: Cloud, subtests: pytest.Subtests) -> None:
    for operation in operations(cloud):
        with subtests.test(f"{operation.method} {operation.path}"):
            explore(cloud, operation)


def explore(cloud: Cloud, operation: schemathesis.APIOperation) -> None:
    """Ask what the description allows for one operation, again and again."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def holds(case: schemathesis.Case) -> None:
        reply = ask(cloud, case)
        assert reply.status < 500 or reply.status == 501, f"{reply.status} {reply.body[:500]!r}"

    holds()


def ask(cloud: Cloud, case: schemathesis.Case) -> Reply:
    """Send what was generated, as an administrator, at the latest version; ids are sometimes real ones."""
    path = quote(unquote(case.formatted_path), safe="/:~!$&'()*+,;=@")
    query = urlencode(dict(case.query or {}), doseq=True)
    headers = {"openstack-api-version": "volume 3.71", "accept": "application/json"}
    content = None
    if case.media_type == "application/octet-stream":
        content = case.body if isinstance(case.body, bytes) else b"some bytes"
    elif case.body is not None and not isinstance(case.body, NotSet):
        content = json.dumps(case.body).encode()
    if case.media_type:
        headers["content-type"] = case.media_type
    return cloud.call(
        case.method, path + ("?" + query if query else ""), as_="moorage-admin", headers=headers, content=content
    )
