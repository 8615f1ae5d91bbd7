"""`moorage events`: what has happened, and (with `--follow`) what happens."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import click

from moorage.cli.cloud import Reached, reaching

LOOK_S = 0.5


@click.command()
@click.option("-n", "count", type=click.IntRange(0, 1000), default=20, help="How many of the past ones; default: 20.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that are to come, until interrupted.")
@click.option("--since", type=click.IntRange(0), help="Begin after the event of that number instead.")
@click.option("--kind", help="Only those of volumes, attachments, images, ...: say volume, attachment, image.")
@click.option("--id", "resource_id", help="Only those of one resource.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one event on a line.")
@reaching
def events(
    reached: Reached,
    count: int,
    follow: bool,
    since: int | None,
    kind: str | None,
    resource_id: str | None,
    as_json: bool,
) -> None:
    """Show the last changes, oldest first."""
    only = {"kind": kind, "resource_id": resource_id}
    query = {name: value for name, value in only.items() if value is not None}
    start = {"since": since} if since is not None else {"latest": count}
    while True:
        found = reached.ask("GET", "/events?" + urlencode({**query, **start}))
        for event in found["events"]:
            click.echo(json.dumps(event) if as_json else _line(event))
        more = since is not None and bool(found["events"])
        start, since = {"since": found["next"]}, found["next"]
        if not more and not follow:
            return
        if not found["events"]:
            time.sleep(LOOK_S)


def _line(event: dict[str, Any]) -> str:
    facts = " ".join(f"{name}={json.dumps(value)}" for name, value in event["facts"].items() if value is not None)
    return f"{event['id']:>8}  {event['at']}  {event['what']:<24} {event['resource_id']}  {facts}".rstrip()
