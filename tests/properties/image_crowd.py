"""What a batch of calls about images is made of: drawn from a generator of random numbers, by weights."""

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.properties.image_model import ADMIN, MEMBER, OWNER, Image
from tests.properties.image_world import CONTENTS, NAMES, Asked

CALLS_AT_MOST = 8

# fmt: off
WEIGHTS = {
    "patch": 7, "upload": 6, "download": 4, "show": 4, "tag": 2, "untag": 1,
    "share": 2, "unshare": 1, "accept": 2, "members": 1,
    "deactivate": 1, "reactivate": 2, "delete": 2, "create": 1,
}
# fmt: on


class Crowd:
    """Who does what, drawn by `random`."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def batch(self, images: Sequence[tuple[str, Image]]) -> list[Asked]:
        """Calls that are to be made at once. In half of the batches all of them meet at one image."""
        id, state = self._random.choice(images)
        meet = self._random.random() < 0.5
        asked = []
        for _ in range(self._random.randint(2, CALLS_AT_MOST)):
            if not meet:
                id, state = self._random.choice(images)
            asked.append(self._call(id, state))
        return asked

    def _call(self, id: str, state: Image) -> Asked:
        verb = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not state.there and self._random.random() < 0.5:
            verb = "create"
        return Asked(id, verb, self._details(verb))

    def _details(self, verb: str) -> dict[str, Any]:
        choose = self._random.choice
        if verb == "create":
            return {"name": choose(["one", "two"]), "visibility": choose(["shared", "private", "community"])}
        if verb == "patch":
            return {"who": choose([OWNER] * 6 + [MEMBER]), **self._change()}
        if verb in ("tag", "untag"):
            return {"tag": choose(["x", "y"])}
        if verb == "upload":
            kept = choose([1, 1, 1, 1, 0.5])
            return {"content": choose(list(CONTENTS)), "kept": kept, "pause_s": choose([0, 0, 0.003, 0.01])}
        if verb in ("download", "show"):
            return {"who": choose([OWNER, OWNER, MEMBER, ADMIN])}
        if verb == "delete":
            return {"who": choose([OWNER] * 4 + [MEMBER])}
        if verb == "accept":
            return {"word": choose(["accepted", "rejected", "pending"])}
        return {"who": OWNER}

    def _change(self) -> dict[str, Any]:
        choose = self._random.choice
        name = choose([*NAMES, *NAMES, "name", "visibility", "protected"])
        values = {
            "name": ["one", "two", "three"],
            "visibility": ["shared", "shared", "private", "community"],
            "protected": [False, False, True],
        }
        return {"name": name, "value": choose(values.get(name, ["1", "2", None]))}
