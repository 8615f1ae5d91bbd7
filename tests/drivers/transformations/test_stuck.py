"""The loop of the process that unpacks ends with whatever data it is given."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import moorage.drivers.transformations.unpacking as unpacking


@pytest.fixture
def child() -> ModuleType:
    spec = importlib.util.spec_from_file_location("child", Path(unpacking.__path__[0]) / "child.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stuck:
    """A decompressor that neither gives nor wants anything."""

    eof = needs_input = False
    unused_data = b""

    def decompress(self, data: bytes, most: int) -> bytes:
        return b""


def test_what_does_not_get_on_is_bad_and_does_not_go_on_for_ever(child: Any) -> None:
    with pytest.raises(child.Bad, match="get on"):
        child.unpack(Stuck)
