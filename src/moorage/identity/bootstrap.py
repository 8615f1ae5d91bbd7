"""
What a new cloud starts with: a domain, roles, three projects and users, our own user, the catalog of our services.

Passwords are written to files in the directory of keys before any row names a user, so that a crash between the two
loses nothing; `clouds.yaml` is made of those files.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from moorage.core.caller import NOBODY
from moorage.core.ids import new_hex, new_secret
from moorage.database import Database, Transaction
from moorage.identity import assignment, deputy, passwords, rows, versions
from moorage.identity.assignment import SYSTEM, Assignment
from moorage.identity.catalog import INTERFACES, PUBLIC_URL
from moorage.identity.claims import Scope
from moorage.identity.keys import write_secret
from moorage.identity.records import domains, endpoints, implications, projects, regions, roles, services, users

log = logging.getLogger(__name__)

ROLES = ("admin", "manager", "member", "reader", "service")
IMPLIED = (("admin", "manager"), ("manager", "member"), ("member", "reader"))

#: Users, each with the project of the same name, and their roles on it.
PEOPLE = {"admin": ("admin",), "demo": ("member",), "service": ("service", "member")}
PROJECT_OF = {"admin": "admin", "demo": "demo", "service": "service"}

#: What is served here: type, name, path.
SERVED = (
    ("identity", "keystone", "/identity"),
    ("block-storage", "cinder", "/volume/v3"),
    ("volumev3", "cinderv3", "/volume/v3"),
    ("image", "glance", "/image"),
)


def run(database: Database, keys: Path, region: str) -> None:
    """Everything that a cloud starts with is there; what an administrator changed since stays as it is."""
    with database.read() as tx:
        if _complete(tx, region):
            return
    database.transact(lambda tx: _fill(tx, keys, region))


def password(keys: Path, name: str) -> str | None:
    """The password that `name` was made with, where this machine has it."""
    try:
        return (keys / f"{name}.password").read_text().strip()
    except FileNotFoundError:
        return None


def write_clouds(path: Path, keys: Path, base_url: str, region: str) -> bool:
    """`path` names the clouds `moorage` (demo) and `moorage-admin` at `base_url`, and whatever it named before."""
    import yaml

    known = {cloud: (name, password(keys, name)) for cloud, name in (("moorage", "demo"), ("moorage-admin", "admin"))}
    if not all(secret for _, secret in known.values()):
        return path.exists()
    try:
        there = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
        before = yaml.safe_dump(there)
        clouds = there["clouds"] = dict(there.get("clouds") or {})
        for cloud, (name, secret) in known.items():
            entry = clouds[cloud] = dict(clouds.get(cloud) or _cloud(name, secret or "", region))
            entry["auth"] = {**(entry.get("auth") or {}), "auth_url": f"{base_url.rstrip('/')}/identity/v3"}
            entry["region_name"] = region
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, AttributeError):
        log.warning("%s cannot be read as clouds.yaml; it is left as it is", path)
        return True
    if yaml.safe_dump(there) != before:
        write_secret(path, yaml.safe_dump(there, sort_keys=False))
    return True


def _cloud(name: str, secret: str, region: str) -> Mapping[str, Any]:
    auth = {
        "auth_url": "",
        "username": name,
        "password": secret,
        "project_name": PROJECT_OF[name],
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    return {"auth": auth, "region_name": region, "identity_api_version": "3"}


def _complete(tx: Transaction, region: str) -> bool:
    """Whether a cloud was made here before, and serves what we serve, in this region."""
    if rows.find(tx, domains, "default") is None or rows.find(tx, regions, region) is None or deputy.missing(tx):
        return False
    own = tx.all(
        select(services.c.type, endpoints.c.region_id).join(endpoints).where(endpoints.c.url.startswith(PUBLIC_URL))
    )
    return {row["type"] for row in own} >= {type for type, *_ in SERVED} and {row["region_id"] for row in own} == {
        region
    }


def _fill(tx: Transaction, keys: Path, region: str) -> None:
    versions.change(tx)
    if rows.find(tx, domains, "default") is None:
        _people(tx, keys)
    deputy.make(tx)
    _catalog(tx, region)


def _people(tx: Transaction, keys: Path) -> None:
    """The default domain, the roles, the first users with their projects. Made once: who is deleted stays deleted."""
    made = {"created_at": tx.now}
    rows.add(
        tx,
        domains,
        id="default",
        name="Default",
        description="The default domain",
        enabled=True,
        tags=[],
        options={},
        extra={},
        **made,
    )
    role_ids = {name: new_hex() for name in ROLES}
    for name, id in role_ids.items():
        rows.add(tx, roles, id=id, name=name, description=None, options={"immutable": True}, **made)
    for prior, implied in IMPLIED:
        tx.run(insert(implications).values(prior_id=role_ids[prior], implied_id=role_ids[implied]))
    for name, held in PEOPLE.items():
        project_id, user_id = new_hex(), new_hex()
        rows.add(
            tx,
            projects,
            id=project_id,
            domain_id="default",
            parent_id=None,
            name=PROJECT_OF[name],
            description="",
            enabled=True,
            tags=[],
            options={},
            extra={},
            **made,
        )
        rows.add(
            tx,
            users,
            id=user_id,
            domain_id="default",
            name=name,
            description=None,
            enabled=True,
            default_project_id=project_id,
            password=passwords.digest(_password(keys, name)),
            generation=0,
            options={},
            extra={},
            **made,
        )
        for role in held:
            assignment.grant(tx, NOBODY, Assignment("user", user_id, Scope("project", project_id), role_ids[role]))
        if name == "admin":
            assignment.grant(tx, NOBODY, Assignment("user", user_id, SYSTEM, role_ids["admin"]))
        versions.note(tx, NOBODY, "created", "user", user_id)


def _password(keys: Path, name: str) -> str:
    """A password that is on the disk before it is in the database."""
    there = password(keys, name)
    if there is None:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = new_secret(128)
        write_secret(keys / f"{name}.password", there + os.linesep)
    return there


def _catalog(tx: Transaction, region: str) -> None:
    """What is served here is in the catalog, in this region."""
    if rows.find(tx, regions, region) is None:
        rows.add(tx, regions, id=region, parent_region_id=None, description="")
    tx.run(update(endpoints).where(endpoints.c.url.startswith(PUBLIC_URL)).values(region_id=region))
    own = select(services.c.type).join(endpoints).where(endpoints.c.url.startswith(PUBLIC_URL))
    there = {row["type"] for row in tx.all(own)}
    for type, name, path in SERVED:
        if type not in there:
            service = rows.add(
                tx, services, id=new_hex(), type=type, name=name, description=None, enabled=True, created_at=tx.now
            )
            for interface in INTERFACES:
                rows.add(
                    tx,
                    endpoints,
                    id=new_hex(),
                    service_id=service["id"],
                    region_id=region,
                    interface=interface,
                    name=None,
                    url=PUBLIC_URL + path,
                    enabled=True,
                    created_at=tx.now,
                )
