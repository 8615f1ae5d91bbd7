"""What can go wrong in Identity."""

from moorage.core.errors import Conflict, Forbidden, Malformed, NotFound, Refused, Unavailable


class Missing(NotFound):
    """Could not find {kind}: {id}."""

    code = "identity.missing"


class Taken(Conflict):
    """Conflict occurred attempting to store {kind} - {reason}."""

    code = "identity.taken"


class InUse(Conflict):
    """{kind} {id} cannot be deleted: {reason}."""

    code = "identity.in-use"


class Immutable(Forbidden):
    """Cannot change the immutable {kind} {id}. Set its option `immutable` to false first."""

    code = "identity.immutable"


class StillEnabled(Forbidden):
    """Cannot delete a domain that is enabled, please disable it first."""

    code = "identity.still-enabled"


class Unfit(Malformed):
    """{reason}"""

    code = "identity.unfit"


class Circular(Refused):
    """Role {prior} cannot imply role {implied}: {reason}."""

    code = "identity.circular"


class TooManyLogins(Unavailable):
    """Too many log-ins are waiting for their passwords to be checked; try again in a moment."""

    code = "identity.busy"
