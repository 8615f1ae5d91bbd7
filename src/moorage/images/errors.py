"""What can go wrong with images."""

from moorage.core.errors import Conflict, Malformed, NotFound, Problem, TooLarge


class ImageNotFound(NotFound):
    """No image found with ID {image}"""

    code = "image.not-found"


class MemberNotFound(NotFound):
    """Project {member} is not a member of image {image}."""

    code = "image.member-not-found"


class TagNotFound(NotFound):
    """Image {image} has no such tag."""

    code = "image.tag-not-found"


class IdTaken(Conflict):
    """Image ID {image} already exists!"""

    code = "image.id-taken"


class MemberTaken(Conflict):
    """Project {member} is a member of image {image} already."""

    code = "image.member-taken"


class PropertyMissing(Conflict):
    """Property {name} does not exist."""

    code = "image.property-missing"


class PropertyPresent(Conflict):
    """Property {name} already present."""

    code = "image.property-present"


class PropertyForbidden(Problem):
    """Property '{name}' is protected: you may not {action} it."""

    status, code = 403, "image.property-forbidden"


class AttributeReadOnly(Problem):
    """Attribute '{name}' is read-only."""

    status, code = 403, "image.attribute-read-only"


class AttributeReserved(Problem):
    """Attribute '{name}' is reserved."""

    status, code = 403, "image.attribute-reserved"


class AttributeFixed(Problem):
    """Attribute {name} can be only replaced for a queued image."""

    status, code = 403, "image.attribute-fixed"


class AttributeNotRemovable(Problem):
    """Property {name} may not be removed."""

    status, code = 403, "image.attribute-not-removable"


class LocationsOff(Problem):
    """Locations of an image are neither shown nor set here; bytes come in by upload."""

    status, code = 403, "image.locations-off"


class LocationMissing(NotFound):
    """Image {image} has no location number {index}."""

    code = "image.location-missing"


class LocationsKept(Problem):
    """Image {image} keeps its last location: delete the image instead."""

    status, code = 403, "image.locations-kept"


class NotOwner(Problem):
    """You are not permitted to {do} images owned by '{owner}'."""

    status, code = 403, "image.not-owner"


class Protected(Problem):
    """Image {image} is protected and cannot be deleted."""

    status, code = 403, "image.protected"


class NotShared(Problem):
    """Only shared images have members, and image {image} is {visibility}."""

    status, code = 403, "image.not-shared"


class TransitionRefused(Conflict):
    """Image status transition from {state} to {target} is not allowed: image {image}."""

    code = "image.transition-refused"


class ActionRefused(Problem):
    """Not allowed to {action} image in status '{state}'"""

    status, code = 403, "image.action-refused"


class Deactivated(Problem):
    """The requested image has been deactivated. Image data download is forbidden."""

    status, code = 403, "image.deactivated"


class FormatsUnset(Malformed):
    """Properties disk_format, container_format must be set prior to saving data."""

    code = "image.formats-unset"


class StoreUnknown(Malformed):
    """Store for identifier {store} not found"""

    code = "image.store-unknown"


class OwnerChanged(Conflict):
    """Image {image} got another owner at this moment; repeat the call."""

    code = "image.owner-changed"


class MarkerUnknown(Malformed):
    """The marker {marker} names no image that you can see."""

    code = "image.marker-unknown"


class QuotaExceeded(TooLarge):
    """An image may have {limit} {what} at most; {asked} were asked for."""

    code = "image.quota-exceeded"


class OverQuota(TooLarge):
    """Project {project} is over a limit: it may have {limit} of {what}, has {used} and asks for {asked} more."""

    code = "image.over-quota"


class NotUsable(Problem):
    """Image {image} is {state}, not active: nothing can be made of it."""

    status, code = 400, "image.not-usable"


class GoneMeanwhile(Problem):
    """Image {image} was deleted while its data came in."""

    status, code = 410, "image.gone-meanwhile"


class UploadStalled(Problem):
    """Nothing came in for {seconds} s; the upload was given up and the image is queued again."""

    status, code = 408, "image.upload-stalled"


class FormatsUnsetForImport(Conflict):
    """Properties disk_format, container_format must be set prior to importing data."""

    code = "image.formats-unset-for-import"


class MethodUnknown(Malformed):
    """There is no way to import named {method} here; there are: {methods}."""

    code = "image.method-unknown"


class StoresMalformed(Malformed):
    """The stores of an import: {reason}"""

    code = "image.stores-malformed"


class StoreNotThere(Conflict):
    """Store {store} cannot take the image in: {reason}."""

    code = "image.store-not-there"


class HeldAlready(Malformed):
    """The store {store} holds image {image} already."""

    code = "image.held-already"


class TaskOpen(Conflict):
    """Image {image} is already being imported by task {task}."""

    code = "image.task-open"


class StagedBytesComing(Conflict):
    """The data of image {image} are still being staged."""

    code = "image.staged-bytes-coming"


class OnlyLocation(Problem):
    """The store {store} is the only store of image {image}: delete the image instead."""

    status, code = 403, "image.only-location"


class NotInStore(NotFound):
    """Image {image} is not in store {store}."""

    code = "image.not-in-store"


class StoreMissing(Conflict):
    """Store for identifier {store} not found"""

    code = "image.store-missing"


class TaskNotFound(NotFound):
    """No task found with ID {task}"""

    code = "image.task-not-found"


class CopyBroken(Problem):
    """Image {image} cannot be copied: {reason}"""

    status, code = 503, "image.copy-broken"


class TaskMarkerUnknown(Malformed):
    """The marker {marker} names no task."""

    code = "image.task-marker-unknown"
