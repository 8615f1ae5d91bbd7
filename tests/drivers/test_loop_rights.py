"""Where devices cannot be made, that is said, with the reason, before anything is done."""

import os
from pathlib import Path

import pytest

from moorage.core.ids import new_uuid
from moorage.drivers.connectors import loop, registry
from moorage.drivers.connectors.loop import LoopDevices
from moorage.drivers.connectors.registry import ConnectorKindUnknown
from moorage.hosts.devices import DevicesUnavailable


def test_nobody_but_root_makes_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    devices = LoopDevices(tmp_path / "dev")
    with pytest.raises(DevicesUnavailable, match="only root"):
        devices.connect(new_uuid(), "nbd+unix:///x", read_only=True)
    assert not (tmp_path / "dev").exists()
    assert devices.present() == {}


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loop.NEEDED, "no-such-program", "no-such-package")
    assert "no-such-program is missing (apt install no-such-package)" in LoopDevices(tmp_path).obstacles()


def test_connectors_are_known_by_kind(tmp_path: Path) -> None:
    assert isinstance(registry.build("loop", tmp_path), LoopDevices)
    assert registry.build("memory", tmp_path).present() == {}
    with pytest.raises(ConnectorKindUnknown, match="loop, memory"):
        registry.build("iscsi", tmp_path)
