"""`moorage why`: why something is as it is, and what happens next."""

import json
from typing import Any
from urllib.parse import quote

import click

from moorage.cli.cloud import Reached, reaching
from moorage.client.images import Images
from moorage.client.volumes import is_id

KINDS = ("volume", "attachment", "image", "operation", "volume-type", "host", "store")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("id")
@click.option("--action", help="What is to be done: say whether it is allowed, and if not, who is in the way.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@reaching
def why(reached: Reached, kind: str, id: str, action: str | None, as_json: bool) -> None:
    """Say why something (a volume or an image also by name) is as it is, what happens next, and what you may do."""
    if kind == "volume" and not is_id(id):
        id = reached.volumes.find(id)["id"]
    elif kind == "image" and not is_id(id):
        id = Images(reached.session).find(id)["id"]
    query = "" if action is None else f"?action={quote(action)}"
    found = reached.ask("GET", f"/why/{kind}/{quote(id)}{query}")["why"]
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
    for waiting in found["waiting"]:
        click.echo(f"  waits      {waiting['kind']} {waiting['id']}: {waiting['sentence']}")
    click.echo(f"  next       {found['next']}")
    for may in found["you_may"]:
        click.echo(f"  you may    {may}")
    for refused in (action for action in found["actions"] if action["refusal"]):
        refusal = refused["refusal"]
        named = ", ".join(f"{blocker['kind']} {blocker['id']}" for blocker in refusal["blockers"])
        in_the_way = f" In the way: {named}." if named else ""
        click.echo(f"  not now    {refused['action']}: {refusal['message']}{in_the_way}")
