"""Image v2 on the wire."""
