"""Metadata definitions: a catalog of properties that dashboards offer for images, volumes, servers and the like."""
