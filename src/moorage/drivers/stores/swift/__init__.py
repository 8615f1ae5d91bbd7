"""A store of objects in one container of a Swift service."""
