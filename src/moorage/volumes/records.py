"""
The tables of volumes: types, quotas, volumes, layers, attachments.

A volume's `status` is derived (`volumes.status`) and stored for filtering.  `head` names the layer that its writes go
to, or will go to once it is served; null until there are bytes, and `base` then says what the head is going to lie
on, so that it is counted as a user of it.  A volume's row goes with the volume; an attachment's row stays as history.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Index, PrimaryKeyConstraint, Table
from sqlalchemy import text as sql

from moorage.database.schema import document, flag, identifier, metadata, moment, number, prose, text

volume_types = Table(
    "volume_types",
    metadata,
    identifier(primary_key=True),
    text("name", nullable=False, unique=True),
    text("description"),
    flag("is_public", default=True),
    document("extra_specs", nullable=False),
    identifier("qos_id"),
    moment("created_at", nullable=False),
    moment("updated_at"),
    Index("ix_volume_types_created_at", "created_at", "id"),
)

type_access = Table(  # which projects see a type that is not public
    "type_access",
    metadata,
    Column("type_id", ForeignKey("volume_types.id", ondelete="CASCADE"), nullable=False),
    identifier("project_id", nullable=False),
    PrimaryKeyConstraint("type_id", "project_id"),
)

default_types = Table(  # the type of volumes that name none, by project
    "default_types",
    metadata,
    identifier("project_id", primary_key=True),
    Column("type_id", ForeignKey("volume_types.id", ondelete="CASCADE"), nullable=False),
)

qos_specs = Table(
    "qos_specs",
    metadata,
    identifier(primary_key=True),
    text("name", nullable=False, unique=True),
    text("consumer", 32, nullable=False),
    document("specs", nullable=False),
    moment("created_at", nullable=False),
)

quotas = Table(  # one row for each project, and one ("class:default") for the limits of projects that set none
    "quotas",
    metadata,
    identifier(primary_key=True),
    document("limits", nullable=False),
    document("usage", nullable=False),
)

service_states = Table(  # what an administrator has switched off
    "service_states",
    metadata,
    text("id", primary_key=True),  # binary and host: "cinder-volume:HOST@BACKEND"
    flag("disabled"),
    text("reason"),
    moment("updated_at", nullable=False),
)

volumes = Table(
    "volumes",
    metadata,
    identifier(primary_key=True),
    identifier("project_id", nullable=False),
    identifier("user_id", nullable=False),
    text("name"),
    text("description"),
    number("size_gib", nullable=False),
    text("status", 32, nullable=False),
    text("override", 32),  # the status that an administrator has set by hand
    flag("failed"),  # it could not be made
    Column("type_id", ForeignKey("volume_types.id"), nullable=False),
    text("backend", nullable=False),
    text("host", nullable=False),  # whose queue its operations are in
    text("availability_zone", nullable=False),
    text("head"),
    text("base"),
    text("cache", 16, nullable=False),
    flag("multiattach"),  # as its type said when it was made
    flag("bootable"),
    Column("readonly", Boolean(create_constraint=False)),  # null: never said
    flag("consumes_quota", default=True),
    identifier("snapshot_id"),
    identifier("source_volid"),
    identifier("image_id"),
    text("migration_status"),
    document("metadata", nullable=False),
    document("image_metadata"),
    document("made"),  # how its bytes came to be
    moment("created_at", nullable=False),
    moment("updated_at"),
    Index("ix_volumes_project_id", "project_id", "created_at", "id"),
    Index("ix_volumes_created_at", "created_at", "id"),
    Index("ix_volumes_name", "name", "created_at", "id"),
    Index("ix_volumes_project_id_name", "project_id", "name", "created_at", "id"),
    Index("ix_volumes_project_id_status", "project_id", "status", "created_at", "id"),
    Index("ix_volumes_status", "status", "created_at", "id"),
    Index("ix_volumes_head", "head"),
    Index("ix_volumes_base", "base"),
    Index("ix_volumes_type_id", "type_id"),
)

layers = Table(
    "layers",
    metadata,
    text("id", primary_key=True),  # its name below the backend's root
    text("backend", nullable=False),
    text("format", 16, nullable=False),
    number("size_bytes", nullable=False),
    text("parent"),  # the layer that shows through
    identifier("image_id"),  # it is the stored object of this image
    text("store"),  # and lies in this store
    moment("created_at", nullable=False),
    Index("ix_layers_parent", "parent"),
)

copies = Table(  # a layer that is a copy of what an image store has, made for volumes to lie on
    "copies",
    metadata,
    identifier(primary_key=True),  # also the id of the first operation that fills it
    text("layer", nullable=False, unique=True),
    text("backend", nullable=False),
    text("host", nullable=False),  # whose queue its operations are in
    identifier("image_id", nullable=False),
    text("store", nullable=False),  # where its bytes come from
    text("object", 500, nullable=False),  # and under which name
    number("size_bytes", nullable=False),
    number("bytes_there", nullable=False, default=0),  # as of the last time that it was written down
    text("state", 16, nullable=False),
    prose("trouble"),  # why it, or one of its readers, does not get its bytes
    moment("created_at", nullable=False),
    moment("whole_at"),
    Index("ix_copies_image_id", "image_id", "backend"),
    Index("ix_copies_store", "store", "object"),
)

attachments = Table(
    "attachments",
    metadata,
    identifier(primary_key=True),
    identifier("volume_id", nullable=False),
    identifier("project_id", nullable=False),
    identifier("user_id", nullable=False),  # its creator, who may see its secret
    identifier("instance_uuid"),
    text("state", 32, nullable=False),
    text("origin", 16),  # the calls that name no attachment have made it (`attachment.Origin`)
    text("mark", 16),  # and have said this of it (`attachment.Mark`)
    text("mode", 8),  # rw, ro; null: not said yet
    text("host"),  # the host of its holder, as the connector says
    text("mountpoint"),
    document("connector"),
    text("door", 16),
    identifier("export"),  # name of its export; grows anew with each generation
    identifier("secret"),
    number("generation", nullable=False, default=0),
    document("connection"),  # what the backend answered; no secret in it
    moment("attached_at"),
    moment("detached_at"),
    moment("created_at", nullable=False),
    moment("updated_at"),
    prose("problem"),  # why it is in an error state
    Index("ix_attachments_volume_id", "volume_id", "state"),
    Index("ix_attachments_project_id", "project_id", "created_at", "id"),
    Index("ix_attachments_created_at", "created_at", "id"),
    Index("ix_attachments_instance_uuid", "instance_uuid"),
    Index("ix_attachments_host", "host", "state"),
    Index(
        "ix_attachments_detached_at",
        "detached_at",
        sqlite_where=sql("detached_at IS NOT NULL"),
        postgresql_where=sql("detached_at IS NOT NULL"),
    ),
)

attachment_queue = Table(  # who waits for a volume; a row goes when its operation is over
    "attachment_queue",
    metadata,
    identifier(primary_key=True),  # of the attachment that it turns into
    identifier("volume_id", nullable=False),
    identifier("project_id", nullable=False),
    identifier("user_id", nullable=False),
    number("turn", nullable=False),  # grows with each who comes
    text("state", 16, nullable=False),
    identifier("operation", nullable=False),
    identifier("process"),  # which its client is connected to; null: he comes back with his key
    identifier("instance_uuid"),
    text("mode", 8),
    document("connector"),
    text("door", 16),
    moment("created_at", nullable=False),
    moment("until", nullable=False),
    Index("ix_attachment_queue_volume_id", "volume_id", "turn"),
)
