"""What is in the bytes of an image: formats, what is refused, hashes and digests; all learnt in one pass."""
