"""
`moorage doctor`: what is installed, what is missing and how to get it; whether rows and machine agree; `--fix` repairs.

Where Moorage runs, whoever looks after the host examines it.  Where it does not, the doctor takes the host lock and
does that itself, without serving anybody.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from moorage import installed
from moorage.agent import credential
from moorage.app import build
from moorage.client.agent import Agent
from moorage.client.wire import ClientError
from moorage.config import Config
from moorage.core.errors import Conflict, Problem
from moorage.flows.reconciliation import reconcile
from moorage.place import Place

PROBE_S = 5.0  #: whoever does not say that he is there within this time is stopped, or gone
LOCK_PATIENCE_S = 15.0  #: in which a holder that is stopped is succeeded

Findings = Sequence[Mapping[str, Any]]


class HostHeld(Conflict):
    """Another process looks after this host, and its agent does not answer: {why}."""

    code = "host.held"


def run(config: Config, *, fix: bool, as_json: bool) -> bool:
    """Examine, show what was found; whether all is well."""
    checks = list(installed.checks(config))
    report = examine(config, fix=fix)
    if as_json:
        click.echo(json.dumps({"checks": [asdict(check) for check in checks], **report}, indent=2))
    else:
        show(checks, report, fix=fix)
    return all(check.fine is not False for check in checks) and not report["left"] and not report["failed"]


def examine(config: Config, *, fix: bool) -> dict[str, Any]:
    """What is wrong, what still is after the repair, and what could not be repaired."""
    place = Place(config.state)
    if not place.keys.exists():
        nothing: dict[str, Any] = {"findings": [], "left": [], "failed": []}
        return {"where": f"Nothing of Moorage is in {config.state}", "examined": False, **nothing}
    if (joined := credential.kept(place.keys / credential.NAME)) is not None:
        nothing = {"findings": [], "left": [], "failed": []}
        return {
            "where": f"{config.state} is of host {joined.name} of {joined.url}: {_heart(place)}",
            "examined": False,
            **nothing,
        }
    agent = Agent(place.agent)
    if place.agent.exists() and Agent(place.agent, PROBE_S).answers():
        try:
            found: dict[str, Any] = agent.ask("POST", "/moorage/v1/doctor", {"fix": fix})["doctor"]
        except ClientError as problem:
            raise Unexamined(why=str(problem)) from None
        return {"where": f"Moorage runs on the state in {config.state}", "examined": True, **found}
    where = f"Moorage does not run on the state in {config.state}"
    return {"where": where, "examined": True, **examine_alone(config, fix=fix)}


def _heart(place: Place) -> str:
    """What the agent of a host that only uses volumes says of its heartbeats."""
    try:
        said = Agent(place.agent, PROBE_S).ask("GET", "/moorage/v1/status")["status"]
    except ClientError:
        return "its agent does not run"
    return f"heartbeats: {said['trouble'] or 'heard'}; devices: {len(said['devices'])}"


class Unexamined(Problem):
    """Moorage runs, but did not examine its host: {why}"""

    code = "doctor.unexamined"


def examine_alone(config: Config, *, fix: bool) -> dict[str, Any]:
    """The same, without anybody's help."""
    app = build(config, "host")
    try:
        if not app.lock.acquire(LOCK_PATIENCE_S):
            raise HostHeld(why=app.lock.why_not() or "it does not say why")
        app.equip(app.lock.fileno())
        findings = reconcile.survey(app.rooms)
        failed = reconcile.repair_alone(app.rooms, findings) if fix else []
        left = reconcile.survey(app.rooms) if fix else findings
        return {
            "findings": [finding.shown() for finding in findings],
            "left": [finding.shown() for finding in left],
            "failed": [{**finding.shown(), "error": why} for finding, why in failed],
        }
    finally:
        app.stop()


def show(checks: Sequence[installed.Check], report: Mapping[str, Any], *, fix: bool) -> None:
    """The report, for people."""
    marks = {True: "ok     ", False: "MISSING", None: "note   "}
    for check in checks:
        click.echo(f"{marks[check.fine]}  {check.what}: {check.said}")
    click.echo(f"\n{report['where']}.")
    left, failed = _keys(report["left"]), {_key(one): one["error"] for one in report["failed"]}
    for one in report["findings"]:
        click.echo(_line(one, left, failed, fix))
    for one in report["left"]:
        if _key(one) not in _keys(report["findings"]):
            click.echo(f"NEW      {one['sentence']}")
    if report["examined"] and not report["findings"] and not report["left"]:
        click.echo("ok       rows, daemons, doors, devices, bytes and operations agree")


def _line(one: Mapping[str, Any], left: set[str], failed: Mapping[str, str], fix: bool) -> str:
    if _key(one) in failed:
        return f"FAILED   {one['sentence']} {failed[_key(one)]}"
    if fix and _key(one) not in left:
        return f"repaired {one['sentence']}"
    remedy = f" --fix: {one['remedy']}." if one["remedy"] else " Nothing is done about it by itself."
    return f"WRONG    {one['sentence']}{remedy}"


def _key(one: Mapping[str, Any]) -> str:
    return json.dumps([one["kind"], one["facts"]], sort_keys=True)


def _keys(findings: Findings) -> set[str]:
    return {_key(one) for one in findings}
