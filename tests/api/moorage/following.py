"""A reader of the stream of events, over a real socket."""

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Message:
    """One message of a stream."""

    id: int
    data: dict[str, Any] | None = None  #: nothing, where only the number went on
    kind: str = "message"
    comments: list[str] = field(default_factory=list)


class Reader:
    """Follows the events of the server at `port`; `status` is what it said at first."""

    def __init__(
        self, port: int, token: str, query: str = "", last: int | None = None, timeout_s: float = 30.0
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        headers = {"X-Auth-Token": token, "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self._connection.request("GET", f"/moorage/v1/events{query}", headers=headers)
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.last = last or 0

    def __iter__(self) -> Iterator[Message]:
        """The messages, to the stream's clean end; a stream that breaks off raises."""
        lines: list[str] = []
        while line := self._answer.readline():
            if line != b"\n":
                lines.append(line.decode().rstrip("\n"))
                continue
            message, lines = _parsed(lines), []
            self.last = message.id or self.last
            yield message

    def events(self, count: int) -> list[Mapping[str, Any]]:
        """The next `count` events."""
        found: list[Mapping[str, Any]] = []
        for message in self:
            if message.data is not None:
                found.append(message.data)
            if len(found) == count:
                return found
        raise AssertionError(f"the stream ended after {len(found)} of {count} events")

    def close(self) -> None:
        """Go away."""
        self._answer.close()
        self._connection.close()


def _parsed(lines: list[str]) -> Message:
    fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
    comments = [line[1:].strip() for line in lines if line.startswith(":")]
    data = json.loads(fields["data"]) if "data" in fields else None
    return Message(int(fields.get("id", 0)), data, fields.get("event", "message"), comments)
