"""Where sockets go, nobody else can have been before."""

import os
from pathlib import Path

import pytest

from moorage.place import Place, SocketsUnsafe


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory that an ordinary user's sockets would go below; not there yet."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    uid = os.geteuid() or 64731
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: uid)
    return tmp_path / "run"


def refusal(tmp_path: Path) -> str:
    with pytest.raises(SocketsUnsafe) as refused:
        Place(tmp_path / "state").prepare()
    assert not (tmp_path / "run" / "moorage").exists()
    return refused.value.sentence


def test_a_directory_for_sockets_that_is_a_link_is_refused(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    runtime.symlink_to(tmp_path / "elsewhere")
    assert "it is no directory" in refusal(tmp_path)


def test_a_directory_for_sockets_that_others_may_write_to_is_refused(runtime: Path, tmp_path: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    if os.getuid() == 0:
        os.chown(runtime, 64731, -1)
    assert "others may write to it" in refusal(tmp_path)
    runtime.chmod(0o755)
    Place(tmp_path / "state").prepare()
    assert (runtime / "moorage").is_dir()


@pytest.mark.root
def test_a_directory_for_sockets_of_somebody_else_is_refused(runtime: Path, tmp_path: Path) -> None:
    runtime.mkdir()
    os.chown(runtime, 64732, -1)
    said = refusal(tmp_path)
    assert "it belongs to user 64732" in said and "XDG_RUNTIME_DIR" in said
