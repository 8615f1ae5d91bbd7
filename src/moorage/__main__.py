"""The `moorage` command: starts and stops processes here; everything else is `cli`, which speaks HTTP."""

import logging
import sys
from pathlib import Path
from typing import Any

import click

from moorage import __version__
from moorage.cli import commands
from moorage.core.errors import Problem


@click.group()
@click.version_option(__version__, prog_name="moorage")
def cli() -> None:
    """Block volumes, images and attachments behind the OpenStack APIs."""


def _options(command: Any) -> Any:
    for option in (
        click.option(
            "--state",
            help="State directory; default: $MOORAGE_STATE, else /var/lib/moorage (root) or ~/.local/share/moorage.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            help="Configuration file (TOML); none is needed.",
        ),
        click.option("--listen", help="HOST:PORT of the API; default 127.0.0.1:8790."),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
    ):
        command = option(command)
    return command


def _serve(role: str, state: str | None, config_file: Path | None, listen: str | None, verbose: bool) -> None:
    from moorage import config, greeting, memory
    from moorage.app import build
    from moorage.server import Server

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    memory.bound()
    app = build(config.load(config_file, config.state_directory(state), listen=listen), role)

    def ready() -> None:
        memory.settle()
        greeting.show(app)

    Server(app, ready).run()


def _role(name: str, help: str) -> None:
    @cli.command(name, help=help)
    @_options
    def command(**options: Any) -> None:
        _serve(name, **options)


_role("up", "Run everything in one process, and print how to talk to it.")
_role("api", "Run one more API process on the same database.")
_role("worker", "Run one more process that carries out operations.")


@cli.command("host")
@_options
@click.option("--join", metavar="URL", help="Use volumes of the Moorage at URL; no database and no volumes are here.")
@click.option("--name", help="With --join: this host's name; default: its host name.")
@click.option(
    "--lease",
    "lease_s",
    type=click.IntRange(3, 86400),
    default=15,
    show_default=True,
    metavar="SECONDS",
    help="With --join: after so long without a heartbeat, `moorage attach`'s attachments here are released.",
)
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --join: has this host's secret; default: the one that is kept, else a new one.",
)
@click.option("--os-cloud", help="With --join, the first time: the administrator's cloud, to register this host.")
def host(
    join: str | None, name: str | None, lease_s: int, secret_file: Path | None, os_cloud: str | None, **options: Any
) -> None:
    """Look after this host's volumes and devices; run the host agent."""
    if join is None:
        _serve("host", **options)
        return
    import socket

    from moorage import config
    from moorage.agent.run import run

    level = logging.INFO if options["verbose"] else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    state = config.state_directory(options["state"])
    run(state, join, name or socket.gethostname(), lease_s, secret_file, os_cloud)


@cli.command()
@click.option("--state", help="State directory of what is to be stopped.")
@click.option("--config", "config_file", type=click.Path(path_type=Path))
def down(state: str | None, config_file: Path | None) -> None:
    """Stop everything of this state directory: control plane, devices, gates and storage daemons."""
    from moorage import config
    from moorage.stopping import stop_all

    for line in stop_all(config.load(config_file, config.state_directory(state))):
        click.echo(line)


@cli.command()
@click.option("--fix", is_flag=True, help="Repair what can be repaired.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--state", help="State directory; default: $MOORAGE_STATE or the usual place.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
def doctor(fix: bool, as_json: bool, state: str | None, config_file: Path | None) -> None:
    """Say what is missing on this machine and whether rows and machine agree. Exit status 0: all is well."""
    from moorage import config
    from moorage.doctor import run

    if not run(config.load(config_file, config.state_directory(state)), fix=fix, as_json=as_json):
        sys.exit(1)


@cli.command("rotate-keys")
@click.option("--state", help="State directory; default: $MOORAGE_STATE or the usual place.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
def rotate_keys(state: str | None, config_file: Path | None) -> None:
    """Make new tokens with a new key. Tokens that are valid stay valid; every process notices at once."""
    from moorage import config
    from moorage.identity.keys import Keys
    from moorage.place import Place

    read = config.load(config_file, config.state_directory(state))
    Keys(Place(read.state).keys, read.identity.token_ttl_s + read.identity.expired_window_s).rotate()
    click.echo("New tokens are made with the next key.")


for _command in commands.cli.commands.values():
    cli.add_command(_command)


def main() -> None:
    """Run the command; a problem is one line on standard error and exit status 1."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
    except click.Abort:
        sys.exit(130)
    except Problem as problem:
        click.echo(f"moorage: {problem.sentence}", err=True)
        sys.exit(1)
    except OSError as problem:
        if problem.filename is None:
            raise
        click.echo(f"moorage: {problem.strerror}: {problem.filename}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
