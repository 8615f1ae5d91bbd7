"""What may become of an import's bytes: unpacking and conversion, each as far as a store asks for it."""
