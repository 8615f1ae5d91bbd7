"""What `moorage up` prints once it answers."""

import shlex

import click

from moorage.app import App


def show(app: App) -> None:
    """Say where it listens, and the two lines that make `openstack` work."""
    if app.role not in ("up", "api"):
        click.echo(f"moorage {app.role} is running on the state in {app.place.state}")
        return
    click.echo(f"Moorage answers on {app.config.base_url}  (state in {app.place.state})")
    click.echo("Ctrl-C stops the control plane; `moorage down` stops everything.")
    click.echo("In another terminal:\n")
    click.echo(f"  export OS_CLIENT_CONFIG_FILE={shlex.quote(str(app.place.clouds))}")
    click.echo("  export OS_CLOUD=moorage\n")
