"""A store of volumes, put together from its settings."""

import os
import socket
from collections.abc import Mapping
from typing import Any

from moorage.client.clouds import Cloud
from moorage.client.session import Session as Outside
from moorage.drivers import secrets
from moorage.drivers.stores.volume.around import Around
from moorage.drivers.stores.volume.doors import open_door
from moorage.drivers.stores.volume.holding import Holder
from moorage.drivers.stores.volume.register import Register
from moorage.drivers.stores.volume.service import BlockStorage
from moorage.drivers.stores.volume.settings import VolumeStoreSettings
from moorage.drivers.stores.volume.store import VolumeStore
from moorage.images.store import StoreMisconfigured

OUR_TYPE = "multiattach"  #: there from the first start on


def build(id: str, settings: VolumeStoreSettings, around: Around) -> VolumeStore:
    """The store, ready for use; nobody is asked before it is."""
    ours = not settings.auth_url
    session = around.ours if ours else Outside(_cloud(id, settings), timeout_s=60.0)
    service = BlockStorage(
        id, session, ours=ours, patience_s=settings.patience_s, attach_tries=max(1, settings.attach_tries)
    )
    register = Register(around.folder / id if around.folder is not None and not ours else None)
    mine = {"host": around.host, "nbd": True} if ours else _machine()
    connector = {**mine, "mountpoint": "moorage-image-store"}
    holder = Holder(service, lambda info: open_door(info, settings.ceph_conf), connector, register)
    return VolumeStore(
        id,
        service,
        holder,
        volume_type=settings.volume_type or (OUR_TYPE if ours else ""),
        idle_s=settings.idle_s,
        owner_of=around.owner_of,
        trim=around.trim if ours else None,
        register=register,
    )


def _machine() -> Mapping[str, Any]:
    """Who we are, to another Block Storage."""
    host = socket.gethostname()
    return {
        "host": host,
        "ip": "127.0.0.1",
        "platform": os.uname().machine,
        "os_type": "linux",
        "multipath": False,
        "do_local_attach": False,
        "nbd": True,
    }


def _cloud(id: str, settings: VolumeStoreSettings) -> Cloud:
    auth = {"auth_url": settings.auth_url}
    if settings.application_credential_id:
        auth["application_credential_id"] = settings.application_credential_id
        auth["application_credential_secret"] = _secret(id, settings)
    else:
        auth |= {
            "username": settings.username,
            "password": _secret(id, settings),
            "user_domain_name": settings.user_domain,
            "project_name": settings.project,
            "project_domain_name": settings.project_domain,
        }
    return Cloud(
        f"of store {id}",
        auth,
        region=settings.region or None,
        interface=settings.interface,
        cacert=settings.cacert or None,
    )


def _secret(id: str, settings: VolumeStoreSettings) -> str:
    """The secret, from where the settings say; it is read once, when the store is built."""
    try:
        return secrets.read("the secret of the user", settings.secret_file, settings.secret_env)
    except secrets.SecretMissing as problem:
        raise StoreMisconfigured(store=id, why=str(problem)) from None
