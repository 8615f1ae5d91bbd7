"""How long a request waits: `Moorage-Wait`."""

import re
from collections.abc import Mapping

from moorage.core.errors import Malformed

HEADER = "moorage-wait"
PATIENCE_S = 60.0  #: how long a request waits for an operation, unless it says otherwise
LONGEST_PATIENCE_S = 600.0


def patience_s(headers: Mapping[str, str]) -> float:
    """How long the client wants to wait for an operation: as it says by `Moorage-Wait`, within a limit."""
    text = headers.get("moorage-wait", str(PATIENCE_S))
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise Malformed(reason="Moorage-Wait must be a number of seconds.")
    return min(float(text), LONGEST_PATIENCE_S)
