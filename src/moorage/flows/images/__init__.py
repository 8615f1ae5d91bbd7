"""What is done with images: their bytes come in, are copied between stores, and go."""
