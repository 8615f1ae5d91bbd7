"""The database room, on both engines."""
