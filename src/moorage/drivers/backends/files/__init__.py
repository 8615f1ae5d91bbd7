"""Volumes as qcow2 and raw files, each in use served by a storage daemon of its own."""

from moorage.drivers.backends.files.backend import FilesBackend
from moorage.drivers.backends.files.rights import Rights

__all__ = ["FilesBackend", "Rights"]
