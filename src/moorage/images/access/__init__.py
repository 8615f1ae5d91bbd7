"""Access: who sees an image, with whom it is shared, and who may change what of it."""
