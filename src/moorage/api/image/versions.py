"""
The versions document. Image has no negotiation: a version says which features exist, and all behave as the newest does.
"""

from typing import Any

from moorage.api.request import Answer, Request

FEATURES = frozenset({"stores"})  #: of those that versions stand for; stores are served as stores even if there is one

# fmt: off
ROWS = (
    # version  only with
    ("v2.18",  "cache"),
    ("v2.17",  None),
    ("v2.16",  "cache"),
    ("v2.15",  None),
    ("v2.14",  "cache"),
    ("v2.13",  "stores"), ("v2.12",  "stores"), ("v2.11",  "stores"), ("v2.10",  "stores"),
    ("v2.9",   None),
    ("v2.8",   "stores"),
    ("v2.7",   None), ("v2.6",  None), ("v2.5",  None), ("v2.4",  None),
    ("v2.3",   None), ("v2.2",  None), ("v2.1",  None), ("v2.0",  None),
)
# fmt: on

IDS = tuple(version for version, feature in ROWS if feature is None or feature in FEATURES)


def document(base: str) -> dict[str, Any]:
    """All versions, newest first; `base` is the URL of the service."""
    links = [{"rel": "self", "href": f"{base}/v2/"}]
    rows = [{"id": id, "status": "CURRENT" if id == IDS[0] else "SUPPORTED", "links": links} for id in IDS]
    return {"versions": rows}


def choices(ask: Request) -> Answer:
    """Show the versions, as several choices of which the client takes one."""
    return Answer(300, document(ask.url))


def versions(ask: Request) -> Answer:
    """Show the versions."""
    return Answer(200, document(ask.url))
