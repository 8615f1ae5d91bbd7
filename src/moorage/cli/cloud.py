"""Whom the commands talk to: the cloud that is meant, and the agent of this host."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

import click

from moorage.client import agent, clouds
from moorage.client.agent import Agent
from moorage.client.session import Session
from moorage.client.volumes import Volumes
from moorage.client.wire import ClientError, Unreachable


@dataclass
class Reached:
    """What a command can reach, found when it is first needed."""

    state: str | None
    os_cloud: str | None

    @cached_property
    def session(self) -> Session:
        fallback = agent.state_directory(self.state, os.environ) / "clouds.yaml"
        return Session(clouds.find(self.os_cloud, os.environ, fallback))

    @cached_property
    def volumes(self) -> Volumes:
        return Volumes(self.session)

    @cached_property
    def agent(self) -> Agent:
        return Agent(agent.socket_of(agent.state_directory(self.state, os.environ), os.environ))

    def ask(self, method: str, path: str) -> Any:
        """What Moorage's own API answers: to the user where there is one, else to this host's root."""
        try:
            session = self.session
        except ClientError:
            return self.agent.ask(method, "/moorage/v1" + path)
        return session.ask("moorage", method, path)

    def ask_locally(self, method: str, path: str) -> Any:
        """The same, to this host's root where that is who asks, else to the user."""
        try:
            return self.agent.ask(method, "/moorage/v1" + path)
        except Unreachable:
            return self.session.ask("moorage", method, path)


def reaching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the two options, and what it reaches by them; what goes wrong is one line and exit status 1."""

    @click.option("--os-cloud", help="Name of the cloud in clouds.yaml; default: $OS_CLOUD.")
    @click.option(
        "--state", help="State directory of the Moorage on this host; default: $MOORAGE_STATE or the usual place."
    )
    @wraps(command)
    def wrapped(os_cloud: str | None, state: str | None, **options: Any) -> None:
        try:
            command(Reached(state, os_cloud), **options)
        except ClientError as problem:
            raise click.ClickException(str(problem)) from None

    return wrapped
