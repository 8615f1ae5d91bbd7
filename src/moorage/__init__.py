"""Moorage: block volumes, images and attachments behind the OpenStack APIs, with real bytes, in one process."""

__version__ = "0.1.0"
