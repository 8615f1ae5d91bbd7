"""Whatever is made to disagree with the rows is found, named and repaired; siblings and bytes are left in peace."""

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from moorage.config import Config
from moorage.core.ids import new_secret, new_uuid
from moorage.flows.attachments import attachment_device
from moorage.flows.attachments.attachment_device import DeviceElsewhere
from moorage.flows.reconciliation.finding import KINDS
from moorage.operations import journal
from moorage.operations.records import operations
from moorage.volumes.backend import BackendUnsure, Cache, Door, Export, Format, Layer
from moorage.volumes.records import volumes
from tests.cloud import Cloud, running
from tests.drivers.loops import MIB, read, run, write
from tests.flows.drift import Drift

pytestmark = pytest.mark.root


def head(drift: Drift, volume: str) -> Layer:
    with drift.rooms.database.read() as tx:
        name = tx.value(select(volumes.c.head).where(volumes.c.id == volume))
    return Layer(name, Format.RAW, 1 << 30)


def server(drift: Drift, attachment: str) -> int:
    from moorage.drivers.connectors import machine

    return next(p.identity.pid for p in machine.programs("nbdfuse") if any(attachment in word for word in p.words))


def test_a_cloud_in_order_has_nothing_wrong_with_it(drift: Drift) -> None:
    drift.attach(drift.volume())
    shared = drift.shared()
    drift.attach(shared, nbd=True)
    drift.attach(shared, "ro")
    assert drift.kinds() == []


def test_a_door_that_no_row_asks_for_is_closed_and_its_sibling_stays_open(drift: Drift) -> None:
    volume = drift.volume()
    device = drift.device(drift.attach(volume))
    orphan = Export(new_uuid(), volume, new_secret(), False, Door.PRIVATE)
    uri = drift.backend.publish(orphan, head(drift, volume), Cache.BACK).uri
    run("nbdinfo", "--size", uri)
    assert drift.kinds() == ["export-orphan"]
    assert drift.kinds(fix=True) == ["export-orphan"]
    run("nbdinfo", "--size", uri, fails=True)
    write(device, b"x")


def test_a_daemon_that_nobody_uses_is_ended(drift: Drift) -> None:
    volume = drift.volume()
    orphan = Export(new_uuid(), volume, new_secret(), False, Door.PRIVATE)
    drift.backend.publish(orphan, head(drift, volume), Cache.BACK)
    assert drift.kinds(fix=True) == ["export-orphan"]
    assert volume not in drift.backend.survey()


def test_a_daemon_of_a_volume_that_no_row_knows_is_ended(drift: Drift) -> None:
    stranger = new_uuid()
    layer = Layer(f"volumes/{stranger}/{new_uuid()}-1", Format.RAW, MIB)
    drift.backend.create(layer)
    drift.backend.publish(Export(new_uuid(), stranger, new_secret(), False, Door.PRIVATE), layer, Cache.BACK)
    assert drift.kinds() == ["export-orphan", "layer-orphan"]
    drift.doctor(fix=True)
    drift.doctor(fix=True)
    assert drift.kinds() == []
    assert layer.name not in drift.backend.layers()


def test_a_dead_gate_is_replaced_at_its_old_address(drift: Drift) -> None:
    shared = drift.shared()
    gated, device = drift.attach(shared, nbd=True), drift.device(drift.attach(shared))
    uri = drift.row(gated)["connection"]["uri"]
    os.kill(drift.backend._records.load(shared).entries[gated].gate.pid, signal.SIGKILL)
    drift.until(lambda: gated not in drift.backend.survey()[shared].exports)
    assert drift.kinds(fix=True) == ["export-missing"]
    run("nbdinfo", "--size", uri)
    assert (drift.row(gated)["generation"], drift.row(gated)["state"]) == (1, "attached")
    write(device, b"x")


def test_after_the_death_of_a_daemon_on_a_raw_head_gates_go_on_and_devices_need_their_holder(drift: Drift) -> None:
    shared = drift.shared()
    gated, held = drift.attach(shared, nbd=True), drift.attach(shared)
    uri = drift.row(gated)["connection"]["uri"]
    write(drift.device(held), b"a", 1)
    drift.kill_daemon(shared)
    assert "server-dead" in drift.kinds(fix=True)
    run("nbdinfo", "--size", uri)
    assert (drift.row(gated)["state"], drift.row(gated)["generation"]) == ("attached", 1)
    lost = drift.row(held)
    assert (lost["state"], lost["generation"], lost["export"]) == ("error_attaching", 2, None)
    assert drift.status(shared) == "in-use"
    assert held not in drift.rooms.devices.present()
    device = drift.update(held, local=True)["device_path"]
    assert drift.row(held)["generation"] == 3
    assert read(device, 1) == b"a" * MIB


def test_a_mending_that_is_cut_off_is_begun_again_and_counts_once(
    drift: Drift, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = drift.shared()
    held, gated = drift.attach(shared), drift.attach(shared, nbd=True)
    drift.kill_daemon(shared)
    clear, failures = drift.backend.clear, [BackendUnsure(backend="files", verb="clear")] * 2

    def failing(volume: str) -> None:
        if failures:
            raise failures.pop()
        clear(volume)

    monkeypatch.setattr(drift.backend, "clear", failing)
    drift.doctor(fix=True)
    assert (failures, drift.kinds()) == ([], [])
    assert [(drift.row(id)["state"], drift.row(id)["generation"]) for id in (held, gated)] == [
        ("error_attaching", 2),
        ("attached", 1),
    ]


def test_a_device_is_made_only_where_the_volume_is(drift: Drift) -> None:
    claim = {"id": new_uuid(), "volume_id": new_uuid(), "host": "elsewhere", "mode": "rw"}
    with pytest.raises(DeviceElsewhere):
        attachment_device.give(drift.rooms, {**claim, "door": "private", "connector": {"local": True}}, "nbd://x")
    assert drift.rooms.devices.present() == {}


def test_after_the_death_of_a_daemon_on_an_overlay_nobody_is_silently_resumed(drift: Drift) -> None:
    clone = drift.volume(source_volid=drift.volume())
    gated = drift.attach(clone, nbd=True)
    uri = drift.row(gated)["connection"]["uri"]
    drift.kill_daemon(clone)
    assert "server-dead" in drift.kinds(fix=True)
    run("nbdinfo", "--size", uri, fails=True)
    assert (drift.row(gated)["state"], drift.row(gated)["generation"]) == ("error_attaching", 2)
    drift.detach(gated)
    assert drift.status(clone) == "available"


def test_an_attach_after_a_daemons_death_mends_the_volume_on_its_way(drift: Drift) -> None:
    shared = drift.shared()
    held = drift.attach(shared)
    drift.kill_daemon(shared)
    device = drift.device(drift.attach(shared))
    write(device, b"x")
    assert drift.row(held)["state"] == "error_attaching"
    assert drift.kinds() == []


@pytest.mark.parametrize("kind", ["device-dead", "device-missing"])
def test_a_device_that_died_is_removed_and_its_holder_has_to_come_again(drift: Drift, kind: str) -> None:
    shared = drift.shared()
    held, sibling = drift.attach(shared), drift.device(drift.attach(shared))
    if kind == "device-dead":
        os.kill(server(drift, held), signal.SIGKILL)
        drift.until(lambda: not drift.rooms.devices.present()[held].alive)
    else:
        drift.rooms.devices.disconnect(held)
    assert drift.kinds() == [kind]
    assert drift.kinds(fix=True) == [kind]
    assert (drift.row(held)["state"], held in drift.rooms.devices.present()) == ("error_attaching", False)
    write(sibling, b"x")
    write(drift.update(held, local=True)["device_path"], b"y")


def test_a_device_of_an_attachment_that_is_over_is_removed(drift: Drift) -> None:
    volume = drift.volume()
    over = drift.attach(volume)
    drift.detach(over)
    mine = drift.attach(volume)
    uri = drift.row(mine)["connection"]["uri"]
    for orphan in (over, new_uuid()):
        drift.rooms.devices.connect(orphan, uri, read_only=True)
    assert drift.kinds(fix=True) == ["device-orphan", "device-orphan"]
    assert set(drift.rooms.devices.present()) == {mine}


def test_bytes_that_no_row_names_are_deleted_but_not_those_that_an_operation_is_making(drift: Drift) -> None:
    volume, id = drift.volume(), new_uuid()
    with drift.rooms.database.write() as tx:
        journal.begin(tx, "create-volume", "volume", new_uuid(), queue="nobody's", project_id=None, id=id)
    kept, orphan = f"volumes/{volume}/{id}-2", f"volumes/{volume}/{new_uuid()}-1"
    for name in (kept, orphan):
        drift.backend.create(Layer(name, Format.RAW, MIB))
    assert drift.kinds(fix=True) == ["layer-orphan"]
    assert {kept, head(drift, volume).name} <= drift.backend.layers()
    assert orphan not in drift.backend.layers()


def test_nothing_that_goes_on_by_itself_deletes_bytes(drift: Drift) -> None:
    from moorage.flows.reconciliation import reconcile

    orphan = f"volumes/{new_uuid()}/{new_uuid()}-1"
    drift.backend.create(Layer(orphan, Format.RAW, MIB))
    reconcile.every_minute(drift.rooms)
    assert orphan in drift.backend.layers()


def test_a_row_whose_bytes_are_missing_is_reported_and_kept(drift: Drift) -> None:
    volume = drift.volume()
    drift.backend.delete(head(drift, volume).name)
    report = drift.doctor(fix=True)
    assert [one["kind"] for one in report["left"]] == ["layer-missing"]
    assert volume in report["left"][0]["sentence"]
    assert drift.status(volume) == "available"


def test_objects_without_an_image_are_deleted_half_written_ones_too(drift: Drift) -> None:
    store = drift.rooms.stores["files"]
    whole = store.create(f"images/{new_uuid()}/{new_uuid()}-1", 3)
    whole.write(b"abc")
    whole.commit()
    store.create(f"images/{new_uuid()}/{new_uuid()}-1", None).write(b"abc")
    assert drift.kinds(fix=True) == ["object-orphan", "object-orphan"]
    assert store.names() == frozenset()


def test_bytes_of_a_store_or_backend_that_is_called_otherwise_now_are_kept(drift: Drift) -> None:
    volume = drift.volume()
    drift.upload()
    store, backend = drift.rooms.stores.pop("files"), drift.rooms.backends.pop("files")
    there, layers = store.names(), backend.layers()
    drift.rooms.stores["renamed"], drift.rooms.backends["renamed"] = store, backend
    try:
        found = drift.doctor(fix=True)["left"]
    finally:
        drift.rooms.stores["files"], drift.rooms.backends["files"] = store, backend
        del drift.rooms.stores["renamed"], drift.rooms.backends["renamed"]
    assert sorted(one["kind"] for one in found) == ["layer-elsewhere", "object-elsewhere"]
    assert all("files" in one["sentence"] for one in found)
    assert (store.names(), backend.layers()) == (there, layers)
    assert there
    assert any(volume in layer for layer in layers)


def test_parts_of_anothers_large_object_are_kept(drift: Drift) -> None:
    drift.upload()
    store = drift.rooms.stores["files"]
    (whole,) = store.names()
    part = store.create(f"{whole}.part/{new_uuid()}/00000001", 3)
    part.write(b"abc")
    part.commit()
    drift.rooms.stores["renamed"] = drift.rooms.stores.pop("files")
    try:
        assert {one["kind"] for one in drift.doctor(fix=True)["left"]} == {"object-elsewhere"}
    finally:
        drift.rooms.stores["files"] = drift.rooms.stores.pop("renamed")
    assert len(store.names()) == 2


def test_an_image_whose_bytes_are_missing_is_reported_and_kept(drift: Drift) -> None:
    image = drift.upload()
    store = drift.rooms.stores["files"]
    assert drift.kinds() == []
    for name in store.names():
        store.delete(name)
    report = drift.doctor(fix=True)
    assert [one["kind"] for one in report["left"]] == ["object-missing"]
    assert drift.cloud.call("GET", f"/image/v2/images/{image}").status == 200


def test_operations_that_do_not_get_on_are_named_and_hastened(drift: Drift) -> None:
    with drift.rooms.database.write() as tx:
        unknown = journal.begin(tx, "paint-volume", "volume", new_uuid(), queue="nobody's", project_id=None)
        stuck = journal.begin(tx, "delete-volume", "volume", new_uuid(), queue="nobody's", project_id=None)
        change = update(operations).where(operations.c.id == stuck)
        tx.run(change.values(attempts=7, not_before=tx.now + 10**12, hindrance="The disk is on fire."))
    report = drift.doctor(fix=True)
    assert [one["kind"] for one in report["findings"]] == ["operation-unknown", "operation-stuck"]
    assert unknown in report["findings"][0]["sentence"]
    assert "The disk is on fire." in report["findings"][1]["sentence"]
    with drift.rooms.database.read() as tx:
        row = journal.get(tx, stuck)
    assert row is not None and row["not_before"] == 0


def test_a_restart_keeps_what_runs_and_settles_what_died(state_dir: Path) -> None:
    before = Drift(Cloud(Config(state=state_dir)))
    lives, dies = before.volume(), before.volume()
    kept, lost = before.attach(lives), before.attach(dies)
    device, daemon = before.device(kept), before.daemon(dies)
    write(device, b"k")
    before.cloud.app.stop()  # as SIGTERM does: daemons and devices go on
    os.kill(daemon, signal.SIGKILL)
    write(device, b"l", 1)  # nobody is in control, and I/O goes on
    with running(state_dir) as cloud:
        after = Drift(cloud)
        assert (after.row(kept)["state"], after.row(kept)["generation"]) == ("attached", 1)
        assert after.device(kept) == device
        assert read(device) == b"k" * MIB
        assert (after.row(lost)["state"], after.row(lost)["problem"] is None) == ("error_attaching", False)
        assert set(after.rooms.devices.present()) == {kept}
        assert after.kinds() == []
        after.clean()


def test_every_kind_of_finding_has_a_sentence_of_its_own() -> None:
    assert len({kind.sentence for kind in KINDS.values()}) == len(KINDS)


def test_every_kind_of_finding_is_on_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []
