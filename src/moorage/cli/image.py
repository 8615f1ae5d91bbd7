"""`moorage image import` and `moorage image copy`: an image gets its data, or gets into more stores, visibly."""

from typing import Any

import click

from moorage.cli.cloud import Reached, reaching
from moorage.cli.follow import watch
from moorage.client.images import Images

_WHERE = (
    click.option("--store", "stores", multiple=True, help="A store that gets it; may be given several times."),
    click.option("--all-stores", is_flag=True, help="Every store gets it."),
    click.option("--allow-failure", is_flag=True, help="Stores that fail are done without, as long as one does not."),
    click.option("--no-wait", is_flag=True, help="Do not wait for the end: print the operation's id."),
)


@click.group()
def image() -> None:
    """Import images, and copy them between stores."""


def _where(command: Any) -> Any:
    for option in reversed(_WHERE):
        command = option(command)
    return command


@image.command("import")
@click.argument("image")
@click.option("--uri", help="Where the data are; default: they were staged.")
@click.option("--region", help="A cloud that the configuration of the server names; with --remote-image.")
@click.option("--remote-image", help="The id of the image there.")
@_where
@reaching
def import_(
    reached: Reached, image: str, uri: str | None, region: str | None, remote_image: str | None, **where: Any
) -> None:
    """Import IMAGE (its name or id), and show how far that is."""
    if bool(region) != bool(remote_image) or (uri and region):
        raise click.UsageError("It is --uri, or --region and --remote-image, or neither.")
    method: dict[str, Any] = {"name": "glance-direct"}
    if uri:
        method = {"name": "web-download", "uri": uri}
    elif region:
        method = {"name": "glance-download", "glance_region": region, "glance_image_id": remote_image}
    _begin(reached, image, method, **where)


@image.command("copy")
@click.argument("image")
@_where
@reaching
def copy(reached: Reached, image: str, **where: Any) -> None:
    """Copy IMAGE (its name or id) to more stores, and show how far that is."""
    _begin(reached, image, {"name": "copy-image"}, **where)


def _begin(
    reached: Reached,
    image: str,
    method: dict[str, Any],
    *,
    stores: tuple[str, ...],
    all_stores: bool,
    allow_failure: bool,
    no_wait: bool,
) -> None:
    asked: dict[str, Any] = {"all_stores_must_succeed": not allow_failure}
    asked |= {"all_stores": True} if all_stores else {}
    asked |= {"stores": list(stores)} if stores else {}
    images = Images(reached.session)
    task = images.begin_import(images.find(image)["id"], method, asked)
    if not task["input"]["backend"]:
        click.echo("Every store that is meant has it already.")
    elif no_wait:
        click.echo(task["id"])
    else:
        watch(reached, task["id"])
