"""`moorage follow`: how far something is, until it is over."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import click

from moorage.cli.bar import Bar
from moorage.cli.cloud import Reached, reaching
from moorage.client.wire import ClientError

LOOK_S = 0.5


@click.command()
@click.argument("id")
@reaching
def follow(reached: Reached, id: str) -> None:
    """Show how far an operation is (an import's task has its id), or what is under way on a resource, until it ends."""
    query = urlencode({"resource_id": id, "state": "open"})
    found = reached.ask("GET", f"/operations?{query}")["operations"]
    watch(reached, found[-1]["id"] if found else id)


def watch(reached: Reached, id: str) -> None:
    """Draw the operation until it is over, and say how that was. Whoever is interrupted ends the drawing alone."""
    bar = Bar()
    try:
        while (row := _shown(reached, id))["ended_at"] is None:
            bar.draw(row)
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        bar.end()
        click.echo(f"It goes on; `moorage follow {id}` shows it again.", err=True)
        raise click.Abort() from None
    bar.end()
    _tell(row)


def _shown(reached: Reached, id: str) -> dict[str, Any]:
    return dict(reached.ask("GET", f"/operations/{quote(id)}")["operation"])


def _tell(row: Mapping[str, Any]) -> None:
    named = f"{row['kind']} of {row['resource_kind']} {row['resource_id']}"
    stores = (row.get("progress") or {}).get("stores", ())
    failed = [f"  {store['id']}: {store['reason'] or store['state']}" for store in stores if store["state"] == "failed"]
    if row["state"] != "done":
        raise ClientError("\n".join([f"{named} was taken back: {_why(row)}", *failed]))
    done = ", ".join(store["id"] for store in stores if store["state"] == "done")
    click.echo(f"{named}: done{f', in {done}' if done else ''}")
    for line in failed:
        click.echo(line, err=True)


def _why(row: Mapping[str, Any]) -> str:
    return str(row["error"]["message"]) if row.get("error") else "it was cancelled."
