"""Runners that are stopped afterwards."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moorage.database import Database
from moorage.operations.flow import Flow, Flows
from moorage.operations.process import Process
from moorage.operations.runner import Runner

Start = Callable[..., Runner]


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """`start(*flows, queues=("any",), ...)`: a runner at work, stopped at the end of the test."""
    running: list[Runner] = []

    def make(*flows: Flow, queues: tuple[str, ...] = ("any",), rooms: Any = None, **more: Any) -> Runner:
        me = more.pop("me", None) or Process.this("up")
        runner = Runner(database, Flows.of(flows), rooms, me, queues, **more)
        runner.start()
        running.append(runner)
        return runner

    yield make
    for runner in running:
        runner.stop()
