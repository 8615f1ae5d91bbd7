"""The engine below the schema: its tests make what they need in empty databases."""

import pytest


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    return empty_database_url
