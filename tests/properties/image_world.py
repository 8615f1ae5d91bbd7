"""Two services over the same images, the calls that are made of them, and the histories of these, image by image."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from moorage.core.ids import new_uuid
from tests.image_faults.twins import Twins
from tests.images.cloud import Reply
from tests.properties.checker import Unexplained, explain
from tests.properties.history import History
from tests.properties.image_model import MEMBER, OWNER, PROJECT, Image
from tests.properties.image_plans import plans

CONTENTS = {letter: letter.encode() * (90_000 + 70_000 * n) for n, letter in enumerate("abcd")}
LETTERS = {hashlib.md5(content).hexdigest(): letter for letter, content in CONTENTS.items()}
BODIES = {content: letter for letter, content in CONTENTS.items()}
NAMES = ("p", "q", "r")  #: of the properties that are played with
PIECE = 40_000


@dataclass(frozen=True)
class Asked:
    """One call that is to be made."""

    image: str
    verb: str
    what: Mapping[str, Any]


class World:
    """What the machine acts on."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self.tick = itertools.count(1).__next__
        self.histories: dict[str, History] = {}
        self.ends: dict[str, set[Image]] = {}
        self.failure: Exception | None = None  #: the first one

    def image(self) -> str:
        """The id of an image that somebody may create."""
        id = new_uuid()
        self.histories[id], self.ends[id] = History(self.tick), {Image()}
        return id

    def at_once(self, calls: Sequence[Asked]) -> None:
        """Make the calls, all of them beginning at the same moment; then wait for the rest of their work."""
        barrier = threading.Barrier(len(calls) or 1)

        def one(asked: Asked) -> None:
            barrier.wait()
            self.make(asked)

        with ThreadPoolExecutor(len(calls) or 1) as pool:
            list(pool.map(one, calls))
        until = time.monotonic() + 60
        while self.twins.under_way():
            assert time.monotonic() < until, f"stuck: {self.twins.leftovers()}"
            time.sleep(0.005)
        for history in self.histories.values():
            history.settle()

    def make(self, asked: Asked) -> None:
        """Make one call, and write it down."""
        sender = SENDERS[asked.verb]
        self.histories[asked.image].perform(asked.verb, asked.what, lambda: sender(self.twins, asked.image, asked.what))

    def explain(self, ids: Sequence[str]) -> None:
        """Look at each image once more, and find an order that explains what everybody has seen of it."""
        for id in ids:
            for verb, who in (("show", OWNER), ("show", MEMBER), ("download", OWNER), ("members", OWNER)):
                self.make(Asked(id, verb, {"who": who}))
            history = self.histories[id]
            try:
                self.ends[id] = explain(self.ends[id], history.calls, plans)
            except Unexplained as problem:
                was = sorted(map(str, self.ends[id]))
                raise Unexplained(f"image {id}, which was one of {was}: {problem}") from None
            history.calls.clear()
        wrong = self.twins.leftovers()
        assert not wrong, "\n".join(wrong)

    def now(self, id: str) -> Image:
        """What the image is, as the history has it."""
        return min(self.ends[id], key=str)


Answer = tuple[int, Mapping[str, Any]]


def _image(reply: Reply) -> Answer:
    if reply.status != 200:
        return reply.status, {}
    said = reply.json
    return 200, {
        "status": said["status"],
        "content": LETTERS[said["checksum"]] if said["checksum"] else None,
        "visibility": said["visibility"],
        "protected": said["protected"],
        "name": said["name"],
        "properties": frozenset((name, said[name]) for name in NAMES if name in said),
        "tags": frozenset(said["tags"]),
    }


def _plain(method: str, path: str) -> Callable[[Twins, str, Mapping[str, Any]], Answer]:
    def send(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
        return twins.call(method, path.format(id=id, **what), as_=what.get("who", OWNER)).status, {}

    return send


def create(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    body = {"id": id, "disk_format": "raw", "container_format": "bare", **what}
    return twins.call("POST", "", body).status, {}


def show(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    return _image(twins.call("GET", f"/{id}", as_=what["who"]))


def patch(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    change = (
        ("remove", f"/{what['name']}", None) if what["value"] is None else ("add", f"/{what['name']}", what["value"])
    )
    return _image(twins.patch(id, change, as_=what["who"]))


def upload(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    content, kept = CONTENTS[what["content"]], what["kept"]

    def pieces() -> Iterator[bytes]:
        for start in range(0, int(len(content) * kept), PIECE):
            time.sleep(what["pause_s"])
            yield content[start : start + PIECE]

    reply = twins.upload(id, pieces(), cut=kept < 1)
    return reply.status, {}


def download(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    reply = twins.data(id, as_=what["who"])
    return reply.status, {"content": BODIES.get(reply.body, "?")} if reply.status == 200 else {}


def share(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    return twins.call("POST", f"/{id}/members", {"member": PROJECT}).status, {}


def accept(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    return twins.call("PUT", f"/{id}/members/{PROJECT}", {"status": what["word"]}, as_=MEMBER).status, {}


def members(twins: Twins, id: str, what: Mapping[str, Any]) -> Answer:
    reply = twins.call("GET", f"/{id}/members", as_=what["who"])
    if reply.status != 200:
        return reply.status, {}
    return 200, {"acceptance": next((one["status"] for one in reply.json["members"]), None)}


SENDERS: Mapping[str, Callable[[Twins, str, Mapping[str, Any]], Answer]] = {
    "create": create,
    "show": show,
    "patch": patch,
    "tag": _plain("PUT", "/{id}/tags/{tag}"),
    "untag": _plain("DELETE", "/{id}/tags/{tag}"),
    "upload": upload,
    "download": download,
    "delete": _plain("DELETE", "/{id}"),
    "deactivate": _plain("POST", "/{id}/actions/deactivate"),
    "reactivate": _plain("POST", "/{id}/actions/reactivate"),
    "share": share,
    "unshare": _plain("DELETE", "/{id}/members/" + PROJECT),
    "accept": accept,
    "members": members,
}
