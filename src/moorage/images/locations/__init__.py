"""Locations: where the bytes of images are, and those that others have put somewhere."""
