"""
Which cloud is meant, found the way `openstack` finds it: a name and clouds.yaml, or `OS_*` variables.

Files that are looked for, the first one counts: `OS_CLIENT_CONFIG_FILE`, or else clouds.yaml here, in
~/.config/openstack and in /etc/openstack.  secure.yaml beside it adds what should not be in it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moorage.client.wire import ClientError

SUFFIXES = (".yaml", ".yml", ".json")

#: What `OS_*` variables say about who asks.
AUTH = (
    "auth_url username user_id password user_domain_name user_domain_id project_name project_id project_domain_name "
    "project_domain_id domain_name domain_id system_scope application_credential_id application_credential_name "
    "application_credential_secret token default_domain"
).split()


@dataclass(frozen=True)
class Cloud:
    """A cloud, and who asks it."""

    name: str
    auth: Mapping[str, str] = field(repr=False)
    region: str | None = None
    interface: str = "public"
    verify: bool = True
    cacert: str | None = None

    @property
    def auth_url(self) -> str:
        """The address of its Identity, with its version."""
        url = self.auth.get("auth_url", "").rstrip("/")
        if not url:
            raise ClientError(f"The cloud {self.name} has no auth_url.")
        return url if url.endswith("/v3") else url + "/v3"


def find(name: str | None, environ: Mapping[str, str], fallback: Path | None = None) -> Cloud:
    """
    The cloud called `name` (else `OS_CLOUD`); without a name the one that the variables describe, or the only one that
    there is. `fallback` is the file for those who have none of their own; there, a cloud called moorage is meant.
    """
    name = name or environ.get("OS_CLOUD")
    if name is None and environ.get("OS_AUTH_URL"):
        auth = {key: environ[f"OS_{key.upper()}"] for key in AUTH if environ.get(f"OS_{key.upper()}")}
        insecure = environ.get("OS_INSECURE", "").lower() in ("1", "true", "yes")
        return _cloud("envvars", {"auth": auth, "cacert": environ.get("OS_CACERT"), "verify": not insecure}, environ)
    path = _file(environ, fallback)
    if path is None:
        raise ClientError("No cloud is known: set OS_CLOUD and have a clouds.yaml, or set OS_AUTH_URL and its like.")
    clouds = _merged(_read(path), _read_beside(path)).get("clouds") or {}
    if name is None:
        name = next(iter(clouds)) if len(clouds) == 1 else "moorage" if path == fallback else None
    if name is None or not isinstance(clouds.get(name), dict):
        known = ", ".join(sorted(clouds)) or "none"
        raise ClientError(
            f"{path} has no cloud {name}." if name else f"Say which cloud (--os-cloud); {path} has: {known}."
        )
    return _cloud(name, clouds[name], environ)


def _cloud(name: str, entry: Mapping[str, Any], environ: Mapping[str, str]) -> Cloud:
    auth = {key: str(value) for key, value in (entry.get("auth") or {}).items() if value is not None}
    return Cloud(
        name=name,
        auth=auth,
        region=entry.get("region_name") or environ.get("OS_REGION_NAME"),
        interface=str(entry.get("interface") or environ.get("OS_INTERFACE") or "public").removesuffix("URL"),
        verify=entry.get("verify", True) is not False,
        cacert=entry.get("cacert"),
    )


def _file(environ: Mapping[str, str], fallback: Path | None) -> Path | None:
    if environ.get("OS_CLIENT_CONFIG_FILE"):
        return Path(environ["OS_CLIENT_CONFIG_FILE"])
    homes = (Path(), Path(os.path.expanduser("~/.config/openstack")), Path("/etc/openstack"))
    for path in (home / f"clouds{suffix}" for home in homes for suffix in SUFFIXES):
        if path.is_file():
            return path
    return fallback if fallback is not None and fallback.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except OSError as problem:
        raise ClientError(f"{path} cannot be read: {problem.strerror}.") from None
    except yaml.YAMLError:
        raise ClientError(f"{path} is not YAML.") from None
    return found if isinstance(found, dict) else {}


def _read_beside(path: Path) -> dict[str, Any]:
    beside = path.with_name("secure" + path.suffix)
    return _read(beside) if beside.is_file() else {}


def _merged(one: dict[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in two.items():
        inner = both.get(key)
        both[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both
