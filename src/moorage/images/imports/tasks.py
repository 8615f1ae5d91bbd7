"""Lists of tasks, for administrators: a page of those that have not expired."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from moorage.core.paging import Page
from moorage.database import Transaction
from moorage.database.paging import paged
from moorage.images.errors import TaskMarkerUnknown
from moorage.images.records import tasks

c = tasks.c


def page_of(tx: Transaction, page: Page, equal: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """The tasks whose columns are `equal` to these values."""
    marker = None
    if page.marker is not None:
        marker = tx.get(tasks, page.marker)
        if marker is None:
            raise TaskMarkerUnknown(marker=page.marker[:64])
    alive = c.expires_at.is_(None) | (c.expires_at > tx.now)
    query = select(tasks).where(alive, *(c[name] == value for name, value in equal.items()))
    return tx.all(paged(query, tasks, page, marker))
