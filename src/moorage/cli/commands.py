"""The visible list of the commands that speak HTTP."""

import click

from moorage.cli.attach import attach
from moorage.cli.cancel import cancel
from moorage.cli.detach import detach
from moorage.cli.events import events
from moorage.cli.follow import follow
from moorage.cli.image import image
from moorage.cli.status import status
from moorage.cli.why import why

cli = click.Group(commands=[attach, cancel, detach, events, follow, image, status, why])
