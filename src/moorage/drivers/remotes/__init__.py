"""Other clouds' Images, that images are imported from."""
