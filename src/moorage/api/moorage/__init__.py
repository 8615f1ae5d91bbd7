"""Moorage's own API: what stands beside the standard ones."""
