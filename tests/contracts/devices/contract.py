"""What every connector keeps. One passes by subclassing this with a fixture for itself and one for addresses."""

from collections.abc import Callable

from moorage.core.ids import new_uuid
from moorage.hosts.devices import Devices

Address = Callable[[], tuple[str, str]]  #: a new attachment and its export's address


class DevicesContract:
    def test_a_connected_attachment_is_present_with_its_device(self, devices: Devices, address: Address) -> None:
        attachment, uri = address()
        device = devices.connect(attachment, uri, read_only=False)
        assert (device.read_only, device.alive, device.mounted) == (False, True, None)
        assert devices.present() == {attachment: device}

    def test_connecting_twice_is_connecting_once(self, devices: Devices, address: Address) -> None:
        attachment, uri = address()
        assert devices.connect(attachment, uri, read_only=True) == devices.connect(attachment, uri, read_only=True)
        assert len(devices.present()) == 1

    def test_another_mode_replaces_the_device(self, devices: Devices, address: Address) -> None:
        attachment, uri = address()
        devices.connect(attachment, uri, read_only=False)
        assert devices.connect(attachment, uri, read_only=True).read_only
        assert [device.read_only for device in devices.present().values()] == [True]

    def test_each_attachment_has_a_device_of_its_own(self, devices: Devices, address: Address) -> None:
        paths = {devices.connect(*address(), read_only=False).path for _ in range(3)}
        assert len(paths) == len(devices.present()) == 3

    def test_what_is_disconnected_is_gone_and_its_siblings_are_not(self, devices: Devices, address: Address) -> None:
        (one, uri), (two, other) = address(), address()
        devices.connect(one, uri, read_only=False)
        kept = devices.connect(two, other, read_only=False)
        devices.disconnect(one)
        devices.disconnect(one)
        assert devices.present() == {two: kept}

    def test_what_never_was_can_be_flushed_and_disconnected(self, devices: Devices) -> None:
        devices.flush(new_uuid())
        devices.disconnect(new_uuid())
        assert devices.present() == {}

    def test_a_host_that_made_a_device_has_no_obstacles(self, devices: Devices) -> None:
        assert devices.obstacles() == []
