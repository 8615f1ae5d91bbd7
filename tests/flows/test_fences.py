"""A fence holds: once the call has answered, nothing of the former holder lands, by whichever way he came."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from moorage.drivers.backends.files import qmp
from moorage.flows.attachments import lapse_leases
from moorage.flows.reconciliation import reconcile
from moorage.hosts import lease
from tests.flows.drift import Drift, V
from tests.flows.stubborn import Stubborn, content, on_device, over_nbd, seen

pytestmark = pytest.mark.root

DOORS = ("tls", "socket", "private", "device")
WAYS = ("delete", "reset", "lapse")


def holder(drift: Drift, volume: str, door: str, tmp_path: Path) -> tuple[str, Stubborn]:
    """An attachment by that door, and who writes through it."""
    if door == "device":
        id = drift.attach(volume)
        return id, Stubborn(on_device(drift.device(id))).writing()
    if door != "tls":
        id = drift.attach(volume, **({"nbd": True} if door == "socket" else {"moorage": True}))
        return id, Stubborn(over_nbd(drift.row(id)["connection"]["uri"])).writing()
    asked: dict[str, Any] = {"volume_uuid": volume, "connector": {"host": "elsewhere", "nbd": True}}
    reply = drift.cloud.call("POST", "/volume/v3/attachments", {"attachment": asked}, headers=V)
    id, info = reply.json["attachment"]["id"], reply.json["attachment"]["connection_info"]
    key = tmp_path / id
    key.write_text(f"{info['tls_psk_identity']}:{info['tls_psk']}\n")
    return id, Stubborn(over_nbd(info["uri"], key)).writing()


def fence(drift: Drift, volume: str, id: str, how: str) -> None:
    """Take the attachment from its holder."""
    if how == "delete":
        drift.detach(id)
    elif how == "reset":
        body = {"os-reset_status": {"status": "available"}}
        path = f"/volume/v3/volumes/{volume}/action"
        assert drift.cloud.call("POST", path, body, as_="moorage-admin", headers=V).status == 202
    else:
        with drift.rooms.database.write() as tx:
            lease.take(tx, id, None, 3)
            now = tx.now + 3 * lease.SECOND
        lapse_leases.lapse(drift.rooms, lease.Heard(now, (id,)))
        drift.until(lambda: drift.row(id)["state"] == "detached")


def last_acknowledged(writer: Stubborn, blocks: list[bytes]) -> bool:
    """Whether each block is the last one that was acknowledged, or one that was sent after it and not answered."""
    return all(
        found in {content(number) for number in writer.sent[n] if number >= writer.acknowledged[n]}
        for n, found in enumerate(blocks)
    )


@pytest.mark.parametrize(
    ("door", "how"), [*((door, "delete") for door in DOORS), ("socket", "reset"), ("tls", "lapse")]
)
def test_nothing_of_a_fenced_holder_lands(drift: Drift, tmp_path: Path, door: str, how: str) -> None:
    volume = drift.shared()
    id, writer = holder(drift, volume, door, tmp_path)
    fence(drift, volume, id, how)
    next_holder = drift.attach(volume, "ro", nbd=True)
    blocks = seen(drift.row(next_holder)["connection"]["uri"])
    writer.insist()
    writer.end()
    assert last_acknowledged(writer, blocks)
    assert seen(drift.row(next_holder)["connection"]["uri"]) == blocks
    drift.detach(next_holder)
    assert drift.status(volume) == "available"


@pytest.mark.parametrize("head", ["raw", "overlay"])
@pytest.mark.parametrize("door", ["tls", "socket", "device"])
def test_nor_where_the_daemon_was_stopped_meanwhile_and_siblings_are_treated_as_after_its_death(
    drift: Drift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str, head: str
) -> None:
    monkeypatch.setattr(qmp, "PATIENCE_S", 1.0)
    volume = drift.shared()
    if head == "overlay":
        type_id = drift.cloud.call("GET", f"/volume/v3/volumes/{volume}", headers=V).json["volume"]["volume_type"]
        volume = drift.volume(source_volid=volume, volume_type=type_id)
    sibling = drift.attach(volume, "ro", nbd=True)
    address = drift.row(sibling)["connection"]["uri"]
    id, writer = holder(drift, volume, door, tmp_path)
    daemon = drift.daemon(volume)
    os.kill(daemon, signal.SIGSTOP)
    drift.detach(id)  # the daemon was killed: nothing that it had in its hands can land
    assert not Path(f"/proc/{daemon}/exe").exists()
    reconcile.every_minute(drift.rooms)
    drift.until(lambda: drift.kinds() == [])
    if head == "raw":  # nothing that was acknowledged can be missing: the sibling goes on, at its old address
        assert (drift.row(sibling)["state"], drift.row(sibling)["generation"]) == ("attached", 1)
        blocks = seen(address)
        assert last_acknowledged(writer, blocks)
    else:
        assert (drift.row(sibling)["state"], drift.row(sibling)["generation"]) == ("error_attaching", 2)
        address = drift.update(sibling, nbd=True)["uri"]
        blocks = seen(address)
    writer.insist()
    writer.end()
    assert seen(address) == blocks
    drift.detach(sibling)
    assert drift.status(volume) == "available"
