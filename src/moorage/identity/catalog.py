"""
The catalog: which services there are, and where. What is served here follows the address that Moorage is reached at.

`$(public_url)s` in an endpoint's URL stands for that address, `$(project_id)s` for the project of the token.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from moorage.database import Transaction
from moorage.database.transaction import Row
from moorage.identity.records import endpoints, services

INTERFACES = ("public", "internal", "admin")
PUBLIC_URL = "$(public_url)s"


def catalog(tx: Transaction, public_url: str, project_id: str | None, user_id: str) -> list[dict[str, Any]]:
    """All enabled services with their enabled endpoints, as a token shows them."""
    at: dict[str, list[dict[str, Any]]] = {}
    blanks = {"project_id": project_id or "", "tenant_id": project_id or "", "user_id": user_id}
    for row in tx.all(
        select(endpoints).where(endpoints.c.enabled.is_(True)).order_by(endpoints.c.interface, endpoints.c.id)
    ):
        shown = {
            "id": row["id"],
            "interface": row["interface"],
            "region_id": row["region_id"],
            "region": row["region_id"],
        }
        at.setdefault(row["service_id"], []).append({**shown, "url": located(row, public_url, blanks)})
    found = tx.all(select(services).where(services.c.enabled.is_(True)).order_by(services.c.type, services.c.id))
    return [
        {"id": s["id"], "type": s["type"], "name": s["name"] or "", "endpoints": at.get(s["id"], [])} for s in found
    ]


def located(row: Row, public_url: str, blanks: Mapping[str, str] | None = None) -> str:
    """The URL of an endpoint, with the address that Moorage is reached at, and other blanks, filled in."""
    url = str(row["url"]).replace(PUBLIC_URL, public_url)
    for name, value in (blanks or {}).items():
        url = url.replace(f"$({name})s", value).replace(f"%({name})s", value)
    return url
