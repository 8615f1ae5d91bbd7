"""Copies of bytes that are elsewhere: files that fill while they are read."""
