"""Backends: where the bytes of volumes are kept, and how they are served."""
