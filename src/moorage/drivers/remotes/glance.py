"""
Imports images of other clouds that the configuration names: `glance-download`.

The other cloud is asked with the credentials that belong to its table, of which neither clients nor the journal learn;
the token of the user who imports goes nowhere. Where it may lead us is what its own catalog says, and no redirect.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moorage.client.clouds import Cloud
from moorage.client.session import Session
from moorage.client.wire import ClientError, Refusal
from moorage.core.caller import Caller
from moorage.core.errors import Malformed, Problem, Unavailable
from moorage.core.ids import is_uuid
from moorage.drivers import secrets
from moorage.drivers.fetch.client import GuardedFetch
from moorage.drivers.fetch.settings import FetchSettings
from moorage.drivers.remotes.settings import RemoteSettings
from moorage.images.imports.method import FetchBroken, Method, Remote, Source

INTERFACES = ("public", "internal", "admin")
COPIED = re.compile(r"hw_.*|trait:.*|os_distro|os_secure_boot|os_type")  #: properties that come along
_TIMEOUT_S = 30.0
_BUSY = 500
_LIMITED = (408, 429)
_TEXT_BYTES = 255


class RegionUnknown(Malformed):
    """The region {region} is none that images can be imported from; there are {regions}."""

    code = "remote.region-unknown"


class RemoteRefused(Problem):
    """The image cannot be had from {region}: {reason}."""

    status, code = 400, "remote.refused"


class RemoteUnavailable(Unavailable):
    """The cloud {region} does not answer as it should: {why}."""

    code = "remote.unavailable"


class GlanceDownload(Method):
    """From any of the clouds in `remotes`."""

    name = "glance-download"
    sets_formats = True

    def __init__(self, remotes: Iterable[RemoteSettings]) -> None:
        self._remotes = {remote.name: remote for remote in remotes}

    def check(self, caller: Caller, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        region, image = asked.get("glance_region"), asked.get("glance_image_id")
        interface = asked.get("glance_service_interface") or INTERFACES[0]
        self._named(str(region))
        if not isinstance(image, str) or not is_uuid(image):
            raise Malformed(reason="The remote image id does not look like a UUID.")
        if interface not in INTERFACES:
            raise Malformed(reason=f"glance_service_interface is one of {', '.join(INTERFACES)}.")
        return {"region": region, "image": image.lower(), "interface": interface}

    def open(self, checked: Mapping[str, Any], size_limit: int, check: Callable[[], None]) -> Source:
        settings = self._named(checked["region"])
        session, path = _session(settings, checked["interface"]), f"/v2/images/{checked['image']}"
        try:
            url, token = session.reach("image")
            base = url.removesuffix("/v2")
            shown = session.ask("image", "GET", path.removeprefix("/v2") if base != url else path)
        except Refusal as refusal:
            raise _told(settings.name, refusal) from None
        except ClientError as problem:
            raise RemoteUnavailable(region=settings.name, why=_words(problem)) from None
        remote = _described(settings.name, shown)
        fetched = _way(settings, token).open(f"{base}{path}/file", limit=size_limit, check=check)
        if fetched.size is not None and fetched.size != remote.size:
            fetched.close()
            raise FetchBroken(reason=f"{fetched.size} bytes are sent, not the {remote.size} that the image has.")
        return Source(remote, fetched, fetched.close)

    def _named(self, region: str) -> RemoteSettings:
        if region not in self._remotes:
            raise RegionUnknown(region=region[:64], regions=", ".join(sorted(self._remotes)) or "none")
        return self._remotes[region]


def _session(settings: RemoteSettings, interface: str) -> Session:
    try:
        secret = secrets.read(f"the secret of the cloud {settings.name}", settings.secret_file, settings.secret_env)
    except secrets.SecretMissing:
        raise RemoteUnavailable(region=settings.name, why="its credentials are not configured") from None
    auth = {"auth_url": settings.auth_url}
    if settings.application_credential_id:
        auth |= {"application_credential_id": settings.application_credential_id}
        auth |= {"application_credential_secret": secret}
    else:
        auth |= {"username": settings.username, "user_domain_name": settings.user_domain, "password": secret}
        auth |= {"project_name": settings.project, "project_domain_name": settings.project_domain}
    cloud = Cloud(
        settings.name, auth, region=settings.region or None, interface=interface, cacert=settings.cacert or None
    )
    return Session(cloud, timeout_s=_TIMEOUT_S)


def _way(settings: RemoteSettings, token: str) -> GuardedFetch:
    """The way to where the other cloud's catalog leads, wherever that is: the configuration trusts it."""
    opened = FetchSettings(
        allowed_ports=(), allowed_networks=("0.0.0.0/0", "::/0"), redirects=0, ca_file=settings.cacert
    )
    return GuardedFetch(opened, headers={"X-Auth-Token": token})


def _described(region: str, shown: Any) -> Remote:
    """What the other side says of its image; only what is active, and says its size, is imported."""
    if not isinstance(shown, dict) or shown.get("status") != "active":
        raise RemoteRefused(region=region, reason="it is not active there")
    size = shown.get("size")
    if not isinstance(size, int) or size < 0:
        raise RemoteUnavailable(region=region, why="it does not say how large the image is")
    copied = {name: value for name, value in shown.items() if COPIED.fullmatch(name) and _short(name, value)}
    return Remote(
        size=size,
        disk_format=_text(shown, "disk_format"),
        container_format=_text(shown, "container_format"),
        properties=copied,
        os_hash_algo=_text(shown, "os_hash_algo"),
        os_hash_value=_text(shown, "os_hash_value"),
        checksum=_text(shown, "checksum"),
    )


def _short(name: str, value: Any) -> bool:
    return isinstance(value, str) and len(name) <= _TEXT_BYTES and len(value) <= _TEXT_BYTES * 16


def _text(shown: Mapping[str, Any], name: str) -> str | None:
    value = shown.get(name)
    return value if isinstance(value, str) else None


def _told(region: str, refusal: Refusal) -> Problem:
    if refusal.status >= _BUSY or refusal.status in _LIMITED:
        return RemoteUnavailable(region=region, why=f"status {refusal.status}")
    reason = "it is not there" if refusal.status == 404 else f"it answers with status {refusal.status}"
    return RemoteRefused(region=region, reason=reason)


def _words(problem: ClientError) -> str:
    """Why, without addresses: users read it."""
    return "it offers no images to us" if "offers no" in str(problem) else "it cannot be reached"
