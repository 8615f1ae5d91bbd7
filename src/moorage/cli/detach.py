"""`moorage detach`: what was written is made durable, the block device goes, the attachment is over."""

from typing import Any

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.volumes import is_id
from moorage.client.wire import ClientError, Unreachable


@click.command()
@click.argument("volume")
@click.option("--force", is_flag=True, help="Also when it is mounted: it is unmounted, and who uses it gets errors.")
@reaching
def detach(reached: Reached, volume: str, force: bool) -> None:
    """Take VOLUME (its name or id, or the id or the device of one of its attachments) away from this host."""
    devices = _devices(reached)
    attachment = _chosen(reached, volume, devices)
    device = devices.get(attachment["id"], {}) if devices is not None else {}
    if not force:
        if devices is None and (attachment.get("connection_info") or {}).get("device_path"):
            raise ClientError(
                f"Attachment {attachment['id']} has a device, and whether that is mounted cannot be seen; use --force."
            )
        if device.get("mounted"):
            raise ClientError(f"{device['path']} is mounted on {device['mounted']}; unmount it first, or use --force.")
    if devices is not None:
        reached.agent.forget(attachment["id"])
    reached.volumes.release(attachment["id"])
    click.echo(f"detached {device.get('path') or attachment['id']}")


def _devices(reached: Reached) -> dict[str, Any] | None:
    """The devices of this host by attachment; None where this user may not know."""
    try:
        host = reached.agent.host()
        found: dict[str, Any] = reached.agent.ask("GET", f"/moorage/v1/hosts/{host}")["host"]["devices"]
    except Unreachable:
        return None
    return found


def _chosen(reached: Reached, named: str, devices: dict[str, Any] | None) -> dict[str, Any]:
    if named.startswith("/dev/"):
        ids = [id for id, device in (devices or {}).items() if device["path"] == named]
        if not ids:
            raise ClientError(f"{named} is not a device of an attachment on this host.")
        named = ids[0]
    if is_id(named):
        attachment = reached.volumes.attachment(named)
        if attachment is not None:
            return attachment
    volume = reached.volumes.find(named)
    rows = [row for row in reached.volumes.attachments(volume["id"]) if row["status"] != "detached"]
    here = [row for row in rows if row["id"] in (devices or {})]
    chosen = here or rows
    if not chosen:
        raise ClientError(f"Volume {named} is not attached.")
    if len(chosen) > 1:
        lines = [f"  {row['id']}  {row['status']}  {_where(row, devices)}" for row in chosen]
        raise ClientError("\n".join([f"Volume {named} has {len(chosen)} attachments; say which one:", *lines]))
    return chosen[0]


def _where(row: dict[str, Any], devices: dict[str, Any] | None) -> str:
    device = (devices or {}).get(row["id"])
    mode = row.get("attach_mode") or "rw"
    return f"{mode}  {device['path']}" if device else f"{mode}  {row.get('attached_host') or 'elsewhere'}"
