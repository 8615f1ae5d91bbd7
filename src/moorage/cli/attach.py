"""
`moorage attach`: a volume becomes a block device of this host.

The caller's own token reserves and completes; in between, the agent of this host has the device made.  Where the
volumes are elsewhere, the attachment has a lease, which that agent renews.  Whatever goes wrong on the way, it is
deleted.
"""

import contextlib
import signal
import sys
from types import FrameType
from typing import Any

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.agent import Here
from moorage.client.volumes import VERSION
from moorage.client.wire import ClientError


@click.command()
@click.argument("volume")
@click.option("--mode", type=click.Choice(["rw", "ro"]), default="rw", show_default=True, help="May it be written to?")
@click.option("--mountpoint", help="Where it will be mounted; kept for information, nothing is mounted.")
@reaching
def attach(reached: Reached, volume: str, mode: str, mountpoint: str | None) -> None:
    """Make VOLUME (a name or an id) a block device of this host, and print the device."""
    here, id = reached.agent.here(), reached.volumes.find(volume)["id"]
    interruptions = _Interruptions()
    attachment = reached.volumes.reserve(id, mode)
    try:
        interruptions.let_in()
        connector: dict[str, Any] = {"host": here.host, **({"mountpoint": mountpoint} if mountpoint else {})}
        device = (_from_elsewhere if here.joined else _from_here)(reached, attachment, connector, here, mode)
        reached.volumes.complete(attachment)
    except BaseException:
        _give_up(reached, attachment)
        raise
    click.echo(device)


class _Interruptions:
    """
    Interruptions end the command, but wait until they are let in: whoever goes while the answer to a reservation is on
    its way would leave an attachment whose id he never learnt.
    """

    def __init__(self) -> None:
        self._waits, self._came = True, 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._come)

    def let_in(self) -> None:
        """From now on they end the command at once; one that has come before does so now."""
        self._waits = False
        if self._came:
            sys.exit(128 + self._came)

    def _come(self, number: int, frame: FrameType | None) -> None:
        self._came = number
        if not self._waits:
            self.let_in()


def _from_here(reached: Reached, attachment: str, connector: dict[str, Any], here: Here, mode: str) -> str:
    """The device of an attachment whose volume is on this host: the agent opens it, and makes the device."""
    path, asked = f"/volume/v3/attachments/{attachment}", {"attachment": {"connector": {**connector, "local": True}}}
    info = reached.agent.ask("PUT", path, asked, version=VERSION)["attachment"]["connection_info"]
    if not info.get("device_path"):
        raise ClientError(f"The server made no device of attachment {attachment}.")
    return str(info["device_path"])


def _from_elsewhere(reached: Reached, attachment: str, connector: dict[str, Any], here: Here, mode: str) -> str:
    """The device of one whose volume is elsewhere: the caller is told the address and the key, the agent connects."""
    info = reached.volumes.publish(attachment, {**connector, "nbd": True}, here.lease_s)
    asked: dict[str, Any] = {name: info[name] for name in ("uri", "tls_psk_identity", "tls_psk") if name in info}
    asked |= {"read_only": info.get("access_mode", mode) == "ro", "term_s": here.lease_s}
    made = reached.agent.ask("PUT", f"/moorage/v1/devices/{attachment}", {"device": asked})
    return str(made["device"]["path"])


def _give_up(reached: Reached, attachment: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with contextlib.suppress(ClientError):
            reached.agent.forget(attachment)
        reached.volumes.release(attachment)
    except ClientError as problem:
        click.echo(f"Attachment {attachment} could not be deleted again: {problem}", err=True)
