"""What can go wrong with files and their daemons."""

from moorage.core.errors import Conflict, Problem, Unavailable


class LayerDiffers(Conflict):
    """The layer {layer} is not what its record says: {why}."""

    code = "backend.layer-differs"


class LayerMissing(Problem):
    """The file of layer {layer} is missing."""

    status, code = 500, "backend.layer-missing"


class NotWhole(Unavailable):
    """The layer {layer} lies on a copy of which parts are still to come."""

    code = "backend.not-whole"


class LayerInUse(Conflict):
    """The layer {layer} is being served for volume {volume}."""

    code = "backend.layer-in-use"


class ServedOtherwise(Conflict):
    """The volume {volume} is being served with {what}; withdraw its attachments first."""

    code = "backend.served-otherwise"


class ServerDied(Unavailable):
    """The server of volume {volume} died; what its attachments lost has to be settled before it is served again."""

    code = "backend.server-died"


class ServerRefused(Problem):
    """The server of volume {volume} could not do {verb}: {why}"""

    status, code = 500, "backend.server-refused"


class GateFailed(Problem):
    """The gate of attachment {attachment} did not open: {why}"""

    status, code = 500, "backend.gate-failed"


class NotDurable(Problem):
    """The door is closed, but the last writes to volume {volume} could not be made durable: {why}"""

    status, code = 500, "backend.not-durable"


class OutOfReach(Problem):
    """The data plane (uid {uid}) may not use {path}: {why}."""

    status, code = 500, "backend.out-of-reach"
