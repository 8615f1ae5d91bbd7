"""`moorage cancel`: turn back what brings data into an image, and keep the image."""

import time
from typing import Any
from urllib.parse import quote, urlencode

import click

from moorage.cli.cloud import Reached, reaching

LOOK_S, PATIENCE_S = 0.2, 60.0
BRINGING = frozenset(
    "import-image copy-image import-location upload-image stage-image copy-volume-to-image volume-from-conversion "
    "volume-from-copy volume-from-download".split()
)


@click.command()
@click.argument("id")
@reaching
def cancel(reached: Reached, id: str) -> None:
    """Cancel an operation (an import's task has its id), or what brings data into an image or volume; that stays."""
    query = urlencode({"resource_id": id, "state": "open"})
    found = reached.ask("GET", f"/operations?{query}")["operations"]
    ids = [row["id"] for row in found if row["kind"] in BRINGING] or [id]
    for each in ids:
        asked = reached.ask("DELETE", f"/operations/{quote(each)}")["operation"]
        click.echo(_told(_over(reached, asked)))


def _over(reached: Reached, row: dict[str, Any]) -> dict[str, Any]:
    """The operation when it is over, if that does not take too long."""
    until = time.monotonic() + PATIENCE_S
    while row["ended_at"] is None and time.monotonic() < until:
        time.sleep(LOOK_S)
        row = reached.ask("GET", f"/operations/{quote(row['id'])}")["operation"]
    return row


def _told(row: dict[str, Any]) -> str:
    named = f"{row['kind']} of {row['resource_kind']} {row['resource_id']}"
    if row["ended_at"] is None:
        return f"{named}: going back. {row['sentence']}"
    return f"{named}: {'it was done already' if row['state'] == 'done' else 'cancelled'}"
