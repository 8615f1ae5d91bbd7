"""Stores that a configuration may name, and lists of them that are refused."""

import pytest

from moorage.config import BadConfiguration, load

S3 = '[[stores]]\nid = "far"\nkind = "s3"\n[stores.s3]\nbucket = "images"\npart_size = 16\n'


def loaded(tmp_path, text):
    path = tmp_path / "moorage.toml"
    path.write_text(text)
    return load(path, tmp_path)


def test_options_of_a_kind_are_a_table_below_its_store(tmp_path):
    config = loaded(tmp_path, '[[stores]]\nid = "web"\nkind = "http"\n' + S3 + '[[stores]]\nid = "near"\n')
    assert [store.id for store in config.stores] == ["web", "far", "near"]
    assert (config.stores[1].s3.bucket, config.stores[1].s3.part_size) == ("images", 16)
    assert config.default_store == "far"  # the first that is writable


@pytest.mark.parametrize(
    "text",
    [
        "stores = []",
        '[[stores]]\nid = "a"\n[[stores]]\nid = "a"',
        '[[stores]]\nid = "a b"',
        '[[stores]]\nid = "os_glance_staging_store"',
        '[[stores]]\nid = "a"\ndefault = true\n[[stores]]\nid = "b"\ndefault = true',
        '[[stores]]\nid = "a"\nkind = "http"\ndefault = true\n[[stores]]\nid = "b"',
        '[[stores]]\nid = "a"\nkind = "http"',
        S3 + "colour = 1",
    ],
)
def test_what_cannot_work_is_refused(tmp_path, text):
    with pytest.raises(BadConfiguration):
        loaded(tmp_path, text)
