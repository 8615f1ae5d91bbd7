"""Identity below the wire, over a real database."""

from pathlib import Path

import pytest

from moorage.database import Database
from moorage.identity import bootstrap
from moorage.identity.settings import IdentitySettings
from moorage.identity.tokens import Tokens


@pytest.fixture
def keys(state_dir: Path) -> Path:
    directory = state_dir / "keys"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def tokens(database: Database, keys: Path) -> Tokens:
    """What checks tokens in a process that has just made a cloud."""
    bootstrap.run(database, keys, "RegionOne")
    return Tokens(database, keys, IdentitySettings())
