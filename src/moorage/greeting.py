"""What `moorage up` prints once it answers."""

import shlex

import click

from moorage.app import App
from moorage.config import usual_state


def show(app: App) -> None:
    """Say where it listens, the two lines that make `openstack` work, and where `moorage` does not look by itself."""
    if app.role not in ("up", "api"):
        click.echo(f"moorage {app.role} is running on the state in {app.place.state}")
        return
    click.echo(f"Moorage answers on {app.config.base_url}  (state in {app.place.state})")
    click.echo("Ctrl-C stops the control plane; `moorage down` stops everything.")
    click.echo("In another terminal:\n")
    click.echo(f"  export OS_CLIENT_CONFIG_FILE={shlex.quote(str(app.place.clouds))}")
    if app.place.state != usual_state():
        click.echo(f"  export MOORAGE_STATE={shlex.quote(str(app.place.state))}")
    click.echo("  export OS_CLOUD=moorage\n")
