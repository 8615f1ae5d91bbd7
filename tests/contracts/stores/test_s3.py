"""The s3 store keeps the contract on Ceph's gateway, and leaves nothing there, whatever ends an upload."""

import os
import secrets
from dataclasses import replace

import botocore.session
import pytest
from botocore.config import Config

from moorage.drivers.stores.s3.parts import MOST_PARTS, part_bytes
from moorage.drivers.stores.s3.settings import S3Settings
from moorage.drivers.stores.s3.store import S3Store
from moorage.images.store import ObjectMissing, StoreMisconfigured, StoreUnavailable
from tests.contracts.stores.contract import BYTES, LATER, NAME, StoreContract, put, read

MIB = 1 << 20


@pytest.fixture(scope="session")
def bare(gateway):
    """A client of the gateway that is not ours."""
    return botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=gateway.url,
        aws_access_key_id=gateway.access,
        aws_secret_access_key=gateway.secret,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def settings(gateway, bare, tmp_path):
    bucket = "b-" + secrets.token_hex(8)
    bare.create_bucket(Bucket=bucket)
    (tmp_path / "key").write_text(gateway.secret + "\n")
    return S3Settings(
        endpoint=gateway.url,
        bucket=bucket,
        access_key=gateway.access,
        secret_key_file=str(tmp_path / "key"),
        part_size=5,
    )


class TestS3(StoreContract):
    @pytest.fixture
    def store(self, settings):
        store = S3Store("s3", settings)
        yield store
        store.close()

    @pytest.fixture
    def small_store(self, gateway, settings, bare):
        quota = ("--uid=moorage", "--quota-scope=bucket", f"--bucket={settings.bucket}")
        gateway.admin("quota", "set", *quota, "--max-size=3145728")
        gateway.admin("quota", "enable", *quota)
        yield lambda: S3Store("small", settings)

    def left(self, bare, settings):
        """What is in the bucket, finished or not."""
        uploads = bare.list_multipart_uploads(Bucket=settings.bucket).get("Uploads", [])
        return [o["Key"] for o in bare.list_objects_v2(Bucket=settings.bucket).get("Contents", [])] + [
            upload["Key"] for upload in uploads
        ]

    @pytest.mark.parametrize("known", [True, False])
    def test_many_parts_make_one_object(self, store, known):
        data = os.urandom(17 * MIB + 5)
        writer = store.create(NAME, len(data) if known else None)
        for start in range(0, len(data), 700_001):
            writer.write(data[start : start + 700_001])
        writer.commit()
        assert read(store) == data
        assert read(store, offset=5 * MIB - 3, length=7) == data[5 * MIB - 3 : 5 * MIB + 4]

    def test_an_abort_among_parts_that_are_being_sent_leaves_none(self, store, bare, settings):
        writer = store.create(NAME, None)
        writer.write(os.urandom(16 * MIB))
        writer.abort()
        assert self.left(bare, settings) == []

    def test_what_a_dead_process_left_is_deleted_by_name(self, store, bare, settings):
        store.create(NAME, None).write(os.urandom(6 * MIB))
        S3Store("s3", settings).delete(NAME)
        assert self.left(bare, settings) == []

    def test_a_name_that_begins_like_another_is_not_touched(self, store):
        half = store.create(NAME + "0", None)
        put(store, b"mine", NAME)
        store.delete(NAME)
        half.write(b"other")
        half.commit()
        assert store.names() == {NAME + "0"}

    def test_what_others_keep_in_the_bucket_is_left_alone(self, settings, bare):
        store = S3Store("s3", replace(settings, prefix="cloud/"))
        bare.put_object(Bucket=settings.bucket, Key="images/8a1c/op1-1", Body=b"theirs")
        bare.put_object(Bucket=settings.bucket, Key="cloud/other", Body=b"theirs")
        put(store)
        assert store.names() == {NAME}
        store.delete(NAME)
        assert self.left(bare, settings) == ["cloud/other", "images/8a1c/op1-1"]

    def test_more_names_than_a_page_holds_are_all_found(self, store, bare, settings, monkeypatch):
        monkeypatch.setattr("moorage.drivers.stores.s3.store._PAGE", 3)
        finished = {f"images/8a1c/op{number}-1" for number in range(8)}
        half = {f"images/8a1c/op{number}-2" for number in range(8)}
        for name in finished:
            bare.put_object(Bucket=settings.bucket, Key=name, Body=b"")
        for name in half:
            store.create(name, None)
        assert store.names() == finished | half

    def test_an_answer_that_is_lost_after_the_commit_is_a_commit(self, store, monkeypatch):
        writer = store.create(NAME, None)
        writer.write(BYTES)
        client, complete = store.service.client, store.service.client.complete_multipart_upload

        def lost(**asked):
            complete(**asked)
            raise ConnectionResetError

        monkeypatch.setattr(client, "complete_multipart_upload", lost)
        writer.commit()
        assert read(store) == BYTES

    def test_wrong_keys_disable_it_and_new_ones_bring_it_back(self, store, settings, gateway):
        with open(settings.secret_key_file, "w") as file:
            file.write("wrong")
        with pytest.raises(StoreUnavailable, match="refuses our keys") as caught:
            store.probe()
        assert "wrong" not in str(caught.value)
        with open(settings.secret_key_file, "w") as file:
            file.write(gateway.secret)
        store.probe()
        put(store)

    def test_no_bucket_is_said(self, settings):
        with pytest.raises(StoreUnavailable, match="there is no bucket nowhere-at-all"):
            S3Store("s3", replace(settings, bucket="nowhere-at-all")).probe()

    def test_virtual_hosts_name_the_bucket(self, settings):
        store = S3Store("s3", replace(settings, endpoint="http://s3.test", addressing="virtual", prefix="p/"))
        signed = store.service.client.generate_presigned_url("get_object", {"Bucket": settings.bucket, "Key": "p/x"})
        assert signed.startswith(f"http://{settings.bucket}.s3.test/p/x?")

    def test_a_location_names_no_secret(self, store, settings, gateway):
        url = store.url(NAME)
        assert url == f"s3://{gateway.url.partition('//')[2]}/{settings.bucket}/{NAME}"
        assert gateway.secret not in url + str(store.properties()) and gateway.access not in url


@pytest.mark.parametrize("change", [{"bucket": ""}, {"addressing": "dns"}, {"part_size": 4}, {"endpoint": "ftp://x"}])
def test_a_wrong_setting_is_refused_when_the_store_is_built(change):
    with pytest.raises(StoreMisconfigured):
        S3Store("s3", replace(S3Settings(bucket="b"), **change))


def test_nothing_listens_is_a_store_that_is_down(free_port, tmp_path):
    (tmp_path / "key").write_text("k")
    settings = S3Settings(
        endpoint=f"http://127.0.0.1:{free_port}", bucket="b", access_key="a", secret_key_file=str(tmp_path / "key")
    )
    for verb in (S3Store.probe, S3Store.names):
        with pytest.raises(StoreUnavailable, match="Connection refused"):
            verb(S3Store("s3", settings))


def test_parts_stay_within_what_a_service_takes():
    for size in (0, 1, 100 * MIB, 1 << 40, 5 << 40):
        step = part_bytes(1, size, 8)
        assert step >= 8 * MIB and step * MOST_PARTS >= size
    assert part_bytes(1, None, 8) == 8 * MIB
    steps = [part_bytes(number, None, 8) for number in range(1, MOST_PARTS + 1)]
    assert steps == sorted(steps)
    assert max(steps) == 160 * MIB and sum(steps) >= 1 << 40


def test_a_missing_object_is_missing(settings):
    store = S3Store("s3", settings)
    with pytest.raises(ObjectMissing):
        store.size(LATER)
