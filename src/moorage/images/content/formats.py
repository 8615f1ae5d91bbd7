"""
What the bytes of an image are: inspected while they pass, compared with what was declared, refused when unsafe.

The table below is the whole of it: content that no row lists for the declared format is refused.  Whatever is
recognised is also checked for what it might make a reader open or allocate, whichever format was declared.
"""

from dataclasses import dataclass

from moorage.core.errors import Problem
from moorage.images.content.headers import CHECKS, recognise
from moorage.images.content.inspectors import Panel
from moorage.images.content.seen import Seen, Unsound

HEAD_BYTES = 1 << 20  #: every mark and every header but some of VHDX lies here
TAIL_BYTES = 3 * 512
LARGEST_DISK_BYTES = (1 << 63) - 1

_OPAQUE = "ami, ari, aki"  #: formats without a mark: anything unmarked may be one
READINGS = (
    # declared  content          recorded as
    ("raw",     {"raw"},         "raw"),
    ("raw",     {"gpt"},         "raw"),
    ("raw",     {"iso"},         "raw"),
    ("raw",     {"luks"},        "raw"),
    ("gpt",     {"gpt"},         "raw"),
    ("iso",     {"iso"},         "iso"),
    ("iso",     {"iso", "gpt"},  "iso"),
    ("qcow2",   {"qcow2"},       "qcow2"),
    ("vmdk",    {"vmdk"},        "vmdk"),
    ("vdi",     {"vdi"},         "vdi"),
    ("vhd",     {"vhd"},         "vhd"),
    ("vhdx",    {"vhdx"},        "vhdx"),
    ("luks",    {"luks"},        "luks"),
    ("ploop",   {"raw"},         "ploop"),  # kept and given back; its blocks are not the disk's
    *((name, {"raw"}, "raw") for name in _OPAQUE.split(", ")),
)  # fmt: skip
INSPECTED_CONTAINERS = frozenset({"bare"})


class ContentRefused(Problem):
    """The image is declared {declared} and its content is {detected}: {reason}."""

    status, code = 415, "image.content-refused"


@dataclass(frozen=True)
class Inspected:
    """What an image is."""

    format: str  #: how it is to be read: raw, qcow2, ...; as declared, where nobody looked
    virtual_size: int | None  #: bytes of the disk inside; None where nobody looked


class Inspection:
    """One look at one image: `feed` all of its bytes in order, then `finish`."""

    def __init__(self, disk_format: str, container_format: str, largest_disk_bytes: int = LARGEST_DISK_BYTES) -> None:
        self._declared = disk_format
        self._wanted = container_format in INSPECTED_CONTAINERS
        self._largest_disk_bytes = largest_disk_bytes
        self._head, self._tail = bytearray(), b""
        self._size = 0
        self._panel: Panel | None = None

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes; content that can only be refused is refused as soon as its beginning has passed."""
        if not self._wanted:
            return
        self._size += len(chunk)
        self._tail = (self._tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]
        rest = chunk
        if self._panel is None:
            missing = HEAD_BYTES - len(self._head)
            self._head += chunk[:missing]
            rest = chunk[missing:]
            if len(self._head) == HEAD_BYTES:
                self._judge(self._start(), whole=False)
        if rest and self._panel is not None:
            self._panel.feed(rest)

    def finish(self) -> Inspected:
        """What the image is, after its last byte."""
        if not self._wanted:
            return Inspected(self._declared, None)
        panel = self._panel or self._start()
        panel.finish()
        return self._judge(panel, whole=True)

    def _start(self) -> Panel:
        self._panel = Panel(bytes(self._head))
        return self._panel

    def _judge(self, panel: Panel, *, whole: bool) -> Inspected:
        head = bytes(self._head)
        content = panel.recognised() | recognise(head) or frozenset({"raw"})
        recorded = self._reading(content)
        checked = content - {"gpt"} if "iso" in content else content
        sizes = [self._check(panel, name, head, whole) for name in sorted(checked)]
        if recorded == "raw" or (recorded == "iso" and sizes == [0]):
            return Inspected(recorded, self._size)
        return Inspected(recorded, sizes[0] if recorded in content else None)

    def _reading(self, content: frozenset[str]) -> str:
        for declared, listed, recorded in READINGS:
            if declared == self._declared and listed == content:
                return recorded
        if len(content) > 1:
            raise self._refusal(content, "it is several things at once")
        raise self._refusal(content, "content must be what is declared")

    def _check(self, panel: Panel, name: str, head: bytes, whole: bool) -> int:
        """The virtual size that format `name` gives, when both our own check and the library's are content."""
        objection = panel.objection(name) if whole else None
        try:
            virtual_size = CHECKS[name](self._seen(panel, name, head, whole)) if name in CHECKS else 0
        except Unsound as unsound:
            raise self._refusal({name}, str(unsound)) from None
        if objection:
            raise self._refusal({name}, objection)
        if virtual_size > self._largest_disk_bytes:
            raise self._refusal({name}, f"its disk is larger than {self._largest_disk_bytes} bytes")
        return virtual_size

    def _seen(self, panel: Panel, name: str, head: bytes, whole: bool) -> Seen:
        parts = {"metadata": panel.region("vhdx", "metadata")} if name == "vhdx" else {}
        size = self._size if whole else None
        return Seen(head, self._tail, size, parts, panel.virtual_size(name) if name == "vhdx" else 0)

    def _refusal(self, content: frozenset[str] | set[str], reason: str) -> ContentRefused:
        return ContentRefused(declared=self._declared, detected=" and ".join(sorted(content)), reason=reason)
