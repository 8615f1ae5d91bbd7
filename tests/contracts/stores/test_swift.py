"""The swift store keeps the contract on Ceph's gateway, by segments where an object is large."""

import os
from dataclasses import replace

import pytest

from moorage.drivers.stores.swift import writer as writing
from moorage.drivers.stores.swift.settings import SwiftSettings
from moorage.drivers.stores.swift.store import SwiftStore
from moorage.images.store import StoreMisconfigured, StoreUnavailable
from tests.contracts.stores.contract import NAME, StoreContract, put, read

MIB = 1 << 20


class TestSwift(StoreContract):
    @pytest.fixture
    def store(self, swift_settings):
        store = SwiftStore("swift", swift_settings)
        yield store
        store.close()

    @pytest.fixture
    def small_store(self, gateway, swift_settings):
        SwiftStore("swift", swift_settings)._service.prepare()
        quota = ("--uid=moorage", "--quota-scope=bucket", f"--bucket={swift_settings.container}")
        gateway.admin("quota", "set", *quota, "--max-size=3145728")
        gateway.admin("quota", "enable", *quota)
        yield lambda: SwiftStore("small", swift_settings)

    def everything(self, store):
        """What is in the container, segments and marks as well."""
        return list(store._service.page_through(""))

    @pytest.mark.parametrize("static", [True, False])
    def test_many_segments_make_one_object(self, store, monkeypatch, static):
        monkeypatch.setattr(writing, "_MOST_STATIC", 1000 if static else 3)
        data = os.urandom(7 * MIB + 5)
        put(store, data, step=700_001)
        assert store.size(NAME) == len(data)
        assert read(store) == data
        assert read(store, offset=MIB - 3, length=2 * MIB) == data[MIB - 3 : 3 * MIB - 3]
        store.delete(NAME)
        assert self.everything(store) == []

    def test_a_commit_leaves_no_mark(self, store):
        put(store, b"small")
        assert self.everything(store) == [NAME]

    def test_an_abort_leaves_no_segment(self, store):
        writer = store.create(NAME, None)
        writer.write(os.urandom(3 * MIB + 1))
        writer.abort()
        assert self.everything(store) == []

    def test_what_a_dead_process_left_is_deleted_by_name(self, store, swift_settings):
        store.create(NAME, None).write(os.urandom(3 * MIB + 1))
        other = SwiftStore("swift", swift_settings)
        assert other.names() == {NAME}
        other.delete(NAME)
        assert self.everything(store) == []

    def test_what_others_keep_in_the_container_is_left_alone(self, swift_settings):
        theirs, store = (
            SwiftStore("swift", swift_settings),
            SwiftStore("swift", replace(swift_settings, prefix="cloud/")),
        )
        put(theirs, b"theirs")
        put(store)
        assert store.names() == {NAME}
        store.delete(NAME)
        assert self.everything(store) == [NAME]

    def test_more_names_than_a_page_holds_are_all_found(self, store, monkeypatch):
        monkeypatch.setattr("moorage.drivers.stores.swift.service._PAGE", 3)
        names = {f"images/8a1c/op{number}-1" for number in range(10)}
        for name in names:
            put(store, b"x", name)
        assert store.names() == names

    def test_a_token_that_is_refused_is_renewed(self, store):
        put(store)
        login = store._service._login
        login._account = replace(login._account, token="AUTH_rgwtk00")
        assert read(store, length=5)

    def test_a_wrong_key_is_told_without_the_key(self, swift_settings):
        with open(swift_settings.key_file, "w") as file:
            file.write("wrong-key")
        with pytest.raises(StoreUnavailable, match="refuses our user or key") as caught:
            SwiftStore("swift", swift_settings).probe()
        assert "wrong-key" not in str(caught.value)

    def test_a_key_that_is_missing_is_told_by_its_file(self, swift_settings):
        os.unlink(swift_settings.key_file)
        with pytest.raises(StoreUnavailable, match="No such file"):
            SwiftStore("swift", swift_settings).probe()


@pytest.mark.parametrize(
    "change", [{"auth_url": ""}, {"auth_version": "2"}, {"user": ""}, {"container": "a/b"}, {"segment_size": 0}]
)
def test_a_wrong_setting_is_refused_when_the_store_is_built(change):
    with pytest.raises(StoreMisconfigured):
        SwiftStore("swift", replace(SwiftSettings(auth_url="http://x/v3", user="u"), **change))


def test_nothing_listens_is_a_store_that_is_down(free_port, tmp_path):
    (tmp_path / "key").write_text("k")
    settings = SwiftSettings(
        auth_url=f"http://127.0.0.1:{free_port}/v3", user="u", key_file=str(tmp_path / "key"), project="p"
    )
    with pytest.raises(StoreUnavailable, match="Connection refused"):
        SwiftStore("swift", settings).probe()
