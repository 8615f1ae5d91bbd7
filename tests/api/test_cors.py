"""Browsers: which pages of other origins may use the APIs, and what they may send and read."""

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud, running
from tests.conftest import state_directory

PAGE = "https://dashboard.example"
IMAGES = "/image/v2/images"
PREFLIGHT = {"access-control-request-method": "PUT", "access-control-request-headers": "x-auth-token"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with state_directory() as state, running(state, cors_origins=(PAGE + "/",)) as cloud:
        yield cloud


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def test_a_browser_is_told_what_it_may_send_before_it_sends_it(cloud: Cloud) -> None:
    for path in (IMAGES, f"{IMAGES}/any/file", "/volume/v3/x/volumes", "/identity/v3/auth/tokens", "/nowhere"):
        told = cloud.call("OPTIONS", path, as_=None, headers={"origin": PAGE, **PREFLIGHT})
        assert (told.status, told.body) == (200, b"")
        assert told.headers["access-control-allow-origin"] == PAGE
        assert {"get", "post", "put", "patch", "delete"} <= words(told.headers["access-control-allow-methods"])
        needed = {"x-auth-token", "content-type", "x-openstack-image-size", "x-image-meta-store"}
        assert needed <= words(told.headers["access-control-allow-headers"])


def test_answers_may_be_read_refusals_too(cloud: Cloud) -> None:
    for token, status in ((cloud.token(), 200), ("wrong", 401)):
        reply = cloud.call("GET", IMAGES, as_=None, headers={"origin": PAGE, "x-auth-token": token})
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["vary"] == "Origin"
        exposed = words(reply.headers["access-control-expose-headers"])
        assert {"x-openstack-request-id", "openstack-image-import-methods", "openstack-image-store-ids"} <= exposed


def test_other_origins_and_other_clients_are_told_nothing(cloud: Cloud) -> None:
    for headers in ({"origin": "https://elsewhere.example"}, {"origin": PAGE + ".evil.example"}, {}):
        told = cloud.call("OPTIONS", IMAGES, as_=None, headers={**headers, **PREFLIGHT})
        assert told.status == 200
        reply = cloud.call("GET", IMAGES, headers=headers)
        assert reply.status == 200
        assert not [name for name in (*told.headers, *reply.headers) if name.startswith("access-control")]


def test_without_the_setting_nobody_is_let_in_and_with_a_star_everybody() -> None:
    for origins, let_in in (((), False), (("*",), True)):
        with state_directory() as state, running(state, cors_origins=origins) as cloud:
            reply = cloud.call("GET", IMAGES, headers={"origin": PAGE})
            assert ("access-control-allow-origin" in reply.headers) is let_in
