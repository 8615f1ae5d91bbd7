"""One Moorage on this host for all clients of a module, with a stand-in for Compute in its catalog."""

import contextlib
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import openstack
import pytest
import yaml
from openstack.connection import Connection
from osc_lib.clientmanager import ClientCache, ClientManager

from tests.cli.host import Host
from tests.clients.compute import compute
from tests.conftest import state_directory

HERE = socket.gethostname()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with state_directory() as state:
        host = Host(state)
        yield host
        host.close()


@pytest.fixture(scope="module")
def connect(host: Host) -> Iterator[Callable[[str], Connection]]:
    """An SDK connection to a cloud of the server's clouds.yaml."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(host.state / "clouds.yaml"))
        yield lambda name: openstack.connect(cloud=name)


@pytest.fixture(scope="module")
def admin(connect: Callable[[str], Connection]) -> Connection:
    return connect("moorage-admin")


@pytest.fixture(scope="module")
def catalog(admin: Connection) -> Iterator[str]:
    """The endpoint of the stand-in, which the catalog names."""
    with compute() as url:
        service = admin.identity.create_service(name="stand-in", type="compute")
        for interface in ("public", "internal", "admin"):
            admin.identity.create_endpoint(
                service_id=service.id, interface=interface, url=url, region_id=admin.config.get_region_name() or None
            )
        yield url


@pytest.fixture
def volume(admin: Connection) -> Iterator[str]:
    """A volume of the administrator's, gone afterwards."""
    made = admin.block_storage.create_volume(size=1, name="clients")
    admin.block_storage.wait_for_status(made, "available", interval=0.05)
    yield str(made.id)
    for attachment in admin.block_storage.attachments(volume_id=made.id):
        admin.block_storage.delete_attachment(attachment)
    admin.block_storage.delete_volume(made)
    admin.block_storage.wait_for_delete(made, interval=0.05)


def forget_clients() -> None:
    """`openstack` keeps the clients of its first cloud as long as the process lives; here there are several clouds."""
    for kept in vars(ClientManager).values():
        if isinstance(kept, ClientCache):
            kept._handle = None


def said(main: Callable[[list[str]], Any], words: list[str], status: int = 0) -> str:
    """What a client's `main` prints, in this process: it takes seconds to load. Its exit status is checked."""
    forget_clients()
    printed, complained = io.StringIO(), io.StringIO()
    code: Any = 0
    with redirect_stdout(printed), redirect_stderr(complained), contextlib.suppress(SystemExit):
        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code
    assert bool(code) == bool(status), f"{words}: {code}\n{printed.getvalue()}{complained.getvalue()}"
    return printed.getvalue() + (complained.getvalue() if status else "")


def account(host: Host, name: str = "moorage-admin") -> dict[str, str]:
    """What clouds.yaml says of an account."""
    auth: dict[str, str] = yaml.safe_load((host.state / "clouds.yaml").read_text())["clouds"][name]["auth"]
    return auth
