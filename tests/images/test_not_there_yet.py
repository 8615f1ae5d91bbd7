"""An image whose id a client has chosen, asked for by somebody else before it is made."""

import pytest

from moorage.core.ids import new_uuid
from moorage.database import Database
from moorage.images import allowance
from moorage.images.errors import ImageNotFound
from moorage.images.settings import ImageSettings


def test_what_comes_into_being_a_moment_later_was_not_there(database: Database) -> None:
    with database.write() as tx, pytest.raises(ImageNotFound):
        allowance.lock_of(tx, new_uuid(), ImageSettings())
