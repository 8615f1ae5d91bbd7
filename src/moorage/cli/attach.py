"""
`moorage attach`: a volume becomes a block device of this host.

The caller's own token reserves and completes; in between, the agent of this host has the device made.  Whatever goes
wrong on the way, the attachment is deleted again.
"""

import signal
import sys
from types import FrameType

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.volumes import VERSION
from moorage.client.wire import ClientError


@click.command()
@click.argument("volume")
@click.option("--mode", type=click.Choice(["rw", "ro"]), default="rw", show_default=True, help="May it be written to?")
@click.option("--mountpoint", help="Where it will be mounted; kept for information, nothing is mounted.")
@reaching
def attach(reached: Reached, volume: str, mode: str, mountpoint: str | None) -> None:
    """Make VOLUME (a name or an id) a block device of this host, and print the device."""
    signal.signal(signal.SIGTERM, _stop)
    host = reached.agent.host()
    attachment = reached.volumes.reserve(reached.volumes.find(volume)["id"], mode)
    try:
        connector = {"host": host, "local": True, "mountpoint": mountpoint}
        asked = {"attachment": {"connector": {name: value for name, value in connector.items() if value is not None}}}
        path = f"/volume/v3/attachments/{attachment}"
        info = reached.agent.ask("PUT", path, asked, version=VERSION)["attachment"]["connection_info"]
        if not info.get("device_path"):
            raise ClientError(f"The server made no device of attachment {attachment}.")
        reached.volumes.complete(attachment)
    except BaseException:
        _give_up(reached, attachment)
        raise
    click.echo(info["device_path"])


def _give_up(reached: Reached, attachment: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        reached.volumes.release(attachment)
    except ClientError as problem:
        click.echo(f"Attachment {attachment} could not be deleted again: {problem}", err=True)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
