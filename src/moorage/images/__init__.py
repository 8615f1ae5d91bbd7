"""What we know of images: their records, states and rules."""
