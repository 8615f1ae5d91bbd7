"""How long tasks are kept: two days after their end. Deleted in small transactions."""

from moorage.database import Database
from moorage.images.imports import task
from moorage.operations.periodic import Job
from moorage.operations.retention import EVERY_S, sweep


def retention(database: Database) -> tuple[Job, ...]:
    """The job that keeps tasks from growing for ever; `expires_at` says when one's time is over."""
    return (Job("forget-tasks", EVERY_S, lambda: sweep(database, task.forget, 0.0)),)
