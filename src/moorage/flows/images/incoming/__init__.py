"""Images coming in: uploaded, staged, imported, copied from store to store."""
