"""`moorage why`: why something is as it is, and what happens next."""

import json
from typing import Any

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.volumes import is_id

KINDS = ("volume", "attachment", "image", "operation")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@reaching
def why(reached: Reached, kind: str, id: str, as_json: bool) -> None:
    """Say why a volume (also by name), an attachment, an image or an operation is as it is, and what happens next."""
    if kind == "volume" and not is_id(id):
        id = reached.volumes.find(id)["id"]
    found = reached.ask("GET", f"/why/{kind}/{id}")["why"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    click.echo(f"{found['kind']} {found['id']} is {found['state']} since {found['since']}: {found['sentence']}")
    operation = found["operation"]
    if operation:
        click.echo(f"  operation  {operation['kind']} {operation['id']}: {operation['sentence']}")
    for blocker in found["blockers"]:
        click.echo(f"  in the way {blocker['kind']} {blocker['id']}: {blocker['sentence']}")
    click.echo(f"  next       {found['next']}")
    for may in found["you_may"]:
        click.echo(f"  you may    {may}")
