"""`moorage status`: is it running, where, and what there is at a glance."""

import json
from collections.abc import Iterator
from typing import Any

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.wire import ClientError, Unreachable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@reaching
def status(reached: Reached, as_json: bool) -> None:
    """Say whether Moorage is running here, and show volumes, attachments and devices at a glance."""
    try:
        found = reached.ask_locally("GET", "/status")["status"]
    except Unreachable as problem:
        raise ClientError(f"not running: {problem}") from None
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for line in _lines(found):
            click.echo(line)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if found.get("joined"):
        yield from _of_host(found)
        return
    yield f"Moorage {found['version']} is running on {found['host']}, API at {found['url']}"
    keeper = found.get("keeper")
    if keeper:
        yield f"  looked after by process {keeper['pid']} ({keeper['role']}), last heard {keeper['heard_at']}"
    yield "  " + ", ".join(f"{number} {kind}" for kind, number in found["counts"].items())
    for attachment in found["attachments"]:
        device = attachment["device"]
        where = device["path"] if device else "no device"
        more = f" on {device['mounted']}" if device and device["mounted"] else ""
        dead = " DEAD" if device and not device["alive"] else ""
        mode = attachment["mode"] or "rw"
        whose = f"volume {attachment['volume_id']}  attachment {attachment['id']}"
        yield f"  {where}{dead}{more}  {mode}  {attachment['state']}  {whose}"


def _of_host(found: dict[str, Any]) -> Iterator[str]:
    yield f"Moorage {found['version']}: this is host {found['host']} of {found['url']}, leases of {found['lease_s']} s"
    yield f"  heartbeats: {found['trouble'] or 'heard'}"
    for attachment, device in found["devices"].items():
        more = f" on {device['mounted']}" if device["mounted"] else ""
        dead = "" if device["alive"] else " DEAD"
        mode = "ro" if device["read_only"] else "rw"
        yield f"  {device['path'] or 'no device'}{dead}{more}  {mode}  attachment {attachment}"
