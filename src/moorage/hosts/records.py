"""
The tables of hosts: where side effects happen and where volumes are used; who looks after each, and what it can do; the
leases of attachments, and when somebody was last there to hear them renewed.
"""

from sqlalchemy import Index, Table

from moorage.database.schema import document, identifier, metadata, moment, number, text

hosts = Table(
    "hosts",
    metadata,
    text("id", primary_key=True),  # its name, as in attachments and queues
    identifier("process"),  # of the one that looks after it: holder of the host lock; null: an agent elsewhere
    text("boot", 128, nullable=False),
    text("agent", nullable=False),  # path of its agent's socket
    text("version", 32, nullable=False),
    document("obstacles", nullable=False),  # why it cannot make block devices; none where it can
    document("devices", nullable=False),  # its block devices by attachment, as last seen
    identifier("secret"),  # SHA-256 of what its agent proves itself with; null: it is not registered
    moment("heartbeat_at"),  # when its agent last did
    moment("created_at", nullable=False),
    moment("heard_at", nullable=False),
)

leases = Table(
    "leases",
    metadata,
    identifier(primary_key=True),  # the attachment's
    text("host"),  # whose agent may renew it
    number("term_s", nullable=False),
    moment("until", nullable=False),
    moment("created_at", nullable=False),
    Index("ix_leases_until", "until"),
    Index("ix_leases_host", "host"),
)

hearing = Table(  # one row
    "hearing",
    metadata,
    text("id", 16, primary_key=True),
    moment("at", nullable=False),  # when a process that hears renewals was last alive
)

cloud = Table("cloud", metadata, identifier(primary_key=True))  # one row: what state directories know this database by
