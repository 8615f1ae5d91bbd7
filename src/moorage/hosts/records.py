"""The table of hosts: where side effects happen, who looks after each, and what it can do."""

from sqlalchemy import Table

from moorage.database.schema import document, identifier, metadata, moment, text

hosts = Table(
    "hosts",
    metadata,
    text("id", primary_key=True),  # its name, as in attachments and queues
    identifier("process"),  # of the one that looks after it: holder of the host lock
    text("boot", 128, nullable=False),
    text("agent", nullable=False),  # path of its agent's socket
    text("version", 32, nullable=False),
    document("obstacles", nullable=False),  # why it cannot make block devices; none where it can
    document("devices", nullable=False),  # its block devices by attachment, as last seen
    moment("created_at", nullable=False),
    moment("heard_at", nullable=False),
)
