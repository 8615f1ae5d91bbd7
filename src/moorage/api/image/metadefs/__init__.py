"""Metadata definitions on the wire."""
