"""
Problems: what can go wrong, each a class whose docstring is the sentence that the user reads.

A problem says *what* (its sentence, filled from its facts), *how bad on the wire* (`status`), *which one* (`code`,
never changed once released) and *who is in the way* (`blockers`). The wire shape is chosen in `api/shell`, nowhere
else; there, blockers are named only to callers who may see them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Blocker:
    """A resource that stands in the way of a call."""

    kind: str  #: "attachment", "volume", "operation", "image", ...
    id: str
    project_id: str | None = None  #: whose it is; None: only administrators are told


class Problem(Exception):
    """An unexpected problem occurred."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "problem"

    def __init__(self, *, blockers: tuple[Blocker, ...] = (), **facts: Any) -> None:
        self.facts = facts
        self.blockers = blockers
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The class's docstring (first paragraph) with its blanks filled."""
        template = " ".join((type(self).__doc__ or "").strip().split("\n\n")[0].split())
        return template.format_map(self.facts) if self.facts else template


class Malformed(Problem):
    """{reason}"""

    status, code = 400, "malformed"


class Refused(Problem):
    """{reason}"""

    status, code = 400, "refused"


class Unauthenticated(Problem):
    """The request you have made requires authentication."""

    status, code = 401, "unauthenticated"


class Forbidden(Problem):
    """Policy doesn't allow {action} to be performed."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """The resource could not be found."""

    status, code = 404, "not-found"


class MethodNotAllowed(Problem):
    """The method is not allowed for this resource."""

    status, code = 405, "method-not-allowed"


class VersionNotAcceptable(Problem):
    """Version {asked} is not supported by the API. Minimum is {minimum} and maximum is {maximum}."""

    status, code = 406, "version-not-acceptable"


class Conflict(Problem):
    """{reason}"""

    status, code = 409, "conflict"


class Changed(Problem):
    """The resource changed since it was read."""

    status, code = 412, "changed"


class TooLarge(Problem):
    """{reason}"""

    status, code = 413, "too-large"


class UnsupportedContent(Problem):
    """{reason}"""

    status, code = 415, "unsupported-content"


class Unavailable(Problem):
    """{reason}"""

    status, code = 503, "unavailable"


class TimedOut(Problem):
    """The operation {operation} goes on; repeat the call to find out how it ends."""

    status, code = 504, "timed-out"
