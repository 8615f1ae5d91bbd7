"""Locations of images: found, taken in, hashed, taken out."""
