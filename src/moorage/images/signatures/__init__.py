"""Signed images: what is signed, by whom, and whether it is true."""
