"""What is done with volumes: they are made, of whatever there is, changed, mended, and go."""
