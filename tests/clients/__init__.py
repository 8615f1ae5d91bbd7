"""The clients of the registry, as they are, against a real Moorage."""
