"""What can go wrong with volumes. Texts that clients of OpenStack parse are kept as they know them."""

from moorage.core.errors import Conflict, Malformed, NotFound, Problem, Refused, Unavailable


class VolumeNotFound(NotFound):
    """Volume {id} could not be found."""

    code = "volume.not-found"


class AttachmentNotFound(NotFound):
    """Volume attachment could not be found with filter: attachment_id = {id}."""

    code = "attachment.not-found"


class TypeNotFound(NotFound):
    """Volume type {id} could not be found."""

    code = "volume-type.not-found"


class TypeNameNotFound(NotFound):
    """Volume type with name {name} could not be found."""

    code = "volume-type.name-not-found"


class SpecNotFound(NotFound):
    """Volume Type {type} has no extra specs with key {key}."""

    code = "volume-type.spec-not-found"


class AccessNotFound(NotFound):
    """Volume type access not found for {type} / {project} combination."""

    code = "volume-type.access-not-found"


class DefaultTypeNotFound(NotFound):
    """Default type for project {project} not found."""

    code = "volume-type.default-not-found"


class QosNotFound(NotFound):
    """No such QoS spec {id}."""

    code = "qos.not-found"


class KeyNotFound(NotFound):
    """Volume {id} has no metadata with key {key}."""

    code = "volume.metadata-not-found"


class ImageMetadataNotFound(NotFound):
    """Glance metadata for volume/snapshot {id} cannot be found."""

    code = "volume.image-metadata-not-found"


class NotMadeYet(NotFound):
    """{kind} {id} could not be found."""

    code = "block-storage.not-found"


class TypeExists(Conflict):
    """Volume Type {name} already exists."""

    code = "volume-type.exists"


class AccessExists(Conflict):
    """Volume type access for {type} / {project} combination already exists."""

    code = "volume-type.access-exists"


class QosExists(Conflict):
    """QoS Specs {name} already exists."""

    code = "qos.exists"


class InvalidVolume(Refused):
    """Invalid volume: {reason}"""

    code = "volume.invalid"


class InvalidInput(Malformed):
    """Invalid input received: {reason}"""

    code = "volume.invalid-input"


class InvalidType(Refused):
    """Invalid volume type: {reason}"""

    code = "volume-type.invalid"


class NotReservable(InvalidVolume):
    """
    Invalid volume: Volume {id} status must be available or downloading to reserve, but the current status is
    {status}.
    """

    code = "volume.taken"


class NotReservableShared(InvalidVolume):
    """
    Invalid volume: Volume {id} status must be available or in-use or downloading to reserve, but the current status is
    {status}.
    """

    code = "volume.not-reservable"


class NotHoldable(InvalidVolume):
    """Invalid volume: Volume status must be {wanted} to reserve, but the status is {status}."""

    code = "volume.not-holdable"


class NotDetachable(InvalidVolume):
    """
    Invalid volume: Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to
    detach.
    """

    code = "volume.not-detachable"


class AlreadyAttached(InvalidVolume):
    """Invalid volume: Volume {id} is already attached, or its status, {status}, lets nobody attach it."""

    code = "volume.already-attached"


class WrongMode(Refused):
    """Invalid attaching mode '{mode}' for volume {id}: {reason}"""

    code = "attachment.wrong-mode"


class OfAnotherVolume(InvalidInput):
    """Invalid input received: Attachment {id} is not one of volume {volume}."""

    code = "attachment.of-another-volume"


class SeveralAttachments(Conflict):
    """Volume {id} has several attachments; attachment_id must say which one is meant."""

    code = "attachment.several"


class NotDeletable(InvalidVolume):
    """
    Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing
    and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated
    from snapshots after volume transfer.
    """

    code = "volume.not-deletable"


class VolumeInError(Conflict):
    """
    Volume attachments can not be updated if the volume is in an error state. The Volume {id} currently has a status of:
    {status}
    """

    code = "volume.in-error"


class NotOpenYet(Conflict):
    """Attachment {id} is still being published: nobody can see its device yet."""

    code = "attachment.not-open-yet"


class DuplicateConnector(Conflict):
    """duplicate connectors detected on volume {id}"""

    code = "attachment.duplicate-connector"


class HeldByServer(Conflict):
    """ConflictNovaUsingAttachment: Detach volume from instance {instance} using the Compute API"""

    code = "attachment.held-by-server"


class OverQuota(Problem):
    """{sentence}"""

    status, code = 413, "quota.exceeded"


class BackendUnknown(Unavailable):
    """The backend {backend} of the volume is not configured."""

    code = "volume.backend-unknown"


class NotDelivered(Problem):
    """{what} are not supported by this release."""

    status, code = 501, "block-storage.not-delivered"
