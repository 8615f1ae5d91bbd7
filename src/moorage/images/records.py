"""
The tables of images. Properties, tags, members, locations and the progress of imports are rows: no change carries
others along.
"""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    false,
)
from sqlalchemy import text as sql

from moorage.database.schema import document, flag, identifier, metadata, moment, number, prose, text


def _image() -> Column[str]:
    return Column("image_id", String(64), ForeignKey("images.id"), nullable=False)


images = Table(
    "images",
    metadata,
    identifier(primary_key=True),
    text("name"),
    text("state", 16, nullable=False),
    text("visibility", 16, nullable=False),
    text("owner"),  # a project; None: nobody but administrators
    flag("protected"),
    flag("hidden"),
    text("disk_format", 32),
    text("container_format", 32),
    text("read_as", 32),  # how the bytes are to be read, as they were inspected; a partitioned disk is raw
    number("min_disk_gib", nullable=False),
    number("min_ram_mib", nullable=False),
    number("size"),  # bytes; None until the image is active
    number("virtual_size"),
    text("checksum", 32),
    text("os_hash_algo", 64),
    text("os_hash_value", 128),
    identifier("upload_id"),  # the operation that its bytes come in with
    identifier("import_id"),  # the task that imports it, or did so last; what became of it is shown until the next try
    number("version", nullable=False),  # grows with each change
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("deleted_at"),
    Index("ix_images_created_at", "created_at", "id"),
    Index("ix_images_owner", "owner", "created_at", "id"),
    Index("ix_images_name", "name"),
)

properties = Table(
    "image_properties",
    metadata,
    _image(),
    text("name", nullable=False),
    prose("value"),
    PrimaryKeyConstraint("image_id", "name"),
    Index("ix_image_properties_name", "name"),
)

tags = Table(
    "image_tags",
    metadata,
    _image(),
    text("tag", nullable=False),
    PrimaryKeyConstraint("image_id", "tag"),
    Index("ix_image_tags_tag", "tag"),
)

members = Table(
    "image_members",
    metadata,
    _image(),
    text("project_id", nullable=False),
    text("acceptance", 16, nullable=False),
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    PrimaryKeyConstraint("image_id", "project_id"),
    Index("ix_image_members_project_id", "project_id"),
)

locations = Table(
    "image_locations",
    metadata,
    identifier(primary_key=True),
    _image(),
    text("store", nullable=False),
    text("object", 500, nullable=False),  # the name in the store
    text("state", 16, nullable=False),
    flag("adopted", server_default=false()),  # others have put it there; it is read, and never deleted
    moment("created_at", nullable=False),
    document("details"),  # what clients want to be remembered of it
    UniqueConstraint("image_id", "store", "object"),
    Index("ix_image_locations_store_object", "store", "object"),
    Index(  # what we have put there belongs to one image
        "uq_image_locations_own",
        "store",
        "object",
        unique=True,
        sqlite_where=sql("NOT adopted"),
        postgresql_where=sql("NOT adopted"),
    ),
)

#: Limits of projects that have some of their own; the row is what is locked to decide on a project's use.
quotas = Table("image_quotas", metadata, text("id", primary_key=True), document("limits", nullable=False))

#: Bytes that an operation may yet bring in. A row counts as long as its operation goes forward, and no longer.
reservations = Table(
    "image_reservations",
    metadata,
    identifier(primary_key=True),  # the operation
    _image(),
    text("project_id", nullable=False),
    number("stored"),  # in all stores together; None: as many as it turns out to be
    number("stored_limit"),  # of all that the project stores, when this was reserved; None: none
    number("staged"),
    number("staged_limit"),
    Index("ix_image_reservations_project_id", "project_id"),
)

#: A digest for each 4 MiB of an image: kept apart, since nothing but reading its bytes needs them.
digests = Table(
    "image_digests",
    metadata,
    _image(),
    Column("digests", LargeBinary, nullable=False),
    PrimaryKeyConstraint("image_id"),
)

#: Hashes that signatures are made over, where they are not the image's own.
hashes = Table(
    "image_hashes",
    metadata,
    _image(),
    text("algorithm", 64, nullable=False),  # as hashlib calls it
    text("value", 128, nullable=False),
    PrimaryKeyConstraint("image_id", "algorithm"),
)

#: Bytes that wait outside of all stores to be imported.
staged = Table(
    "image_staged",
    metadata,
    text("object", 500, primary_key=True),  # the name in the staging area
    _image(),
    identifier("operation_id", nullable=False),  # that brings them, or brought them
    text("state", 16, nullable=False),
    number("size"),  # bytes; while they come in, as far as it is known
    moment("created_at", nullable=False),
    Index("ix_image_staged_image_id", "image_id"),
)

#: What clients know as tasks; a task's id is that of the operation that carries it out.
tasks = Table(
    "image_tasks",
    metadata,
    identifier(primary_key=True),
    text("type", 32, nullable=False),
    text("state", 16, nullable=False),
    identifier("image_id"),
    text("owner"),  # a project
    identifier("user_id"),
    text("request_id", 128),
    document("input", nullable=False),  # as clients are shown it
    document("result"),
    prose("message"),
    number("done", nullable=False, default=0),  # bytes that have been fetched or written
    number("size"),  # bytes in all, where it is known
    moment("created_at", nullable=False),
    moment("updated_at", nullable=False),
    moment("expires_at"),  # from the end on: when nobody is shown it any more
    Index("ix_image_tasks_image_id", "image_id", "created_at"),
    Index("ix_image_tasks_created_at", "created_at", "id"),
    Index("ix_image_tasks_expires_at", "expires_at"),
)

#: How far a task is with each store.
task_stores = Table(
    "image_task_stores",
    metadata,
    Column("task_id", String(64), ForeignKey("image_tasks.id"), nullable=False),
    text("store", nullable=False),
    number("position", nullable=False),  # in the order in which they were asked for
    text("state", 16, nullable=False),
    text("object", 500),  # the name under which it is being written
    prose("reason"),  # why it failed, or does not get on
    PrimaryKeyConstraint("task_id", "store"),
)
