"""Settings that cannot work are refused before anything is started, in one line; paths mean the same from anywhere."""

import pytest

from moorage.config import BadConfiguration, load


def loaded(tmp_path, text):
    path = tmp_path / "moorage.toml"
    path.write_text(text)
    return load(path, tmp_path / "state")


S3 = '[[stores]]\nid = "{id}"\nkind = "s3"\n[stores.s3]\nbucket = "images"\nprefix = "{prefix}"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('listen = "nonsense"', "listen"),
        ('listen = "127.0.0.1:99999"', "listen"),
        ('public_url = "storage.example.org"', "public_url"),
        ('database = "rubbish"', "database"),
        ('database = "mysql://u:sekret@h/x"', "database"),
        ('region = ""', "region"),
        ("worker_threads = 0", "worker_threads"),
        ("[identity]\ntoken_ttl_s = -5", "token_ttl_s"),
        ('[volumes]\ncache = "sideways"', "cache"),
        ('[volumes]\nno_compute = "maybe"', "no_compute"),
        ('[volumes]\ndefault_backend = "nope"', "default_backend"),
        ("[images]\npage = -1", "images.page"),
        ('[images]\nhash_algorithm = "rot13"', "hash_algorithm"),
        ('[images]\nhash_algorithm = "shake_128"', "hash_algorithm"),
        ('[images]\nimport_methods = ["fax"]', "import_methods"),
        ("[rights]\ndaemon_uid = 0", "daemon_uid"),
        ("[rights]\ndaemon_uid = 64732", "rights"),
        ("backends = []", "backends"),
        ('[[backends]]\nname = "a"\n[[backends]]\nname = "a"\npath = "/b"', "same name"),
        ('[[backends]]\nname = "a"\n[[backends]]\nname = "b"', "same directory"),
        ('[[stores]]\nid = "a"\n[[stores]]\nid = "b"', "a and b keep"),
        ('[[stores]]\nid = "a"\n[[stores]]\nid = "b"\npath = "state/../state"', "a and b keep"),
        (S3.format(id="a", prefix="p/") + S3.format(id="b", prefix="p/"), "a and b keep"),
    ],
)
def test_what_cannot_work_is_refused_by_its_name(tmp_path, text, named):
    with pytest.raises(BadConfiguration) as refused:
        loaded(tmp_path, text)
    assert named in refused.value.sentence
    assert "sekret" not in refused.value.sentence


def test_a_file_that_is_no_text_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "moorage.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration):
        load(tmp_path / "moorage.toml", tmp_path)


def test_stores_beside_one_another_are_fine(tmp_path):
    stores = '[[stores]]\nid = "a"\n[[stores]]\nid = "b"\npath = "/elsewhere"\n'
    config = loaded(tmp_path, stores + S3.format(id="c", prefix="p/") + S3.format(id="d", prefix="q/"))
    assert len(config.stores) == 4


def test_a_path_is_taken_from_the_directory_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    text = (
        '[images]\nstaging_path = "staged"\n[fetch]\nca_file = "/etc/authority.pem"\n'
        '[[stores]]\nid = "far"\nkind = "s3"\n[stores.s3]\nbucket = "images"\nsecret_key_file = "far.key"\n'
        '[[stores]]\nid = "near"\npath = "images"\n'
    )
    (tmp_path / "moorage.toml").write_text(text)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load((tmp_path / "elsewhere" / ".." / "moorage.toml"), tmp_path)
    assert [config.stores[0].s3.secret_key_file, config.stores[1].path, config.images.staging_path] == [
        str(tmp_path / "elsewhere" / ".." / name) for name in ("far.key", "images", "staged")
    ]
    assert config.fetch.ca_file == "/etc/authority.pem"
    assert config.stores[0].path == ""  # not configured stays not configured
