"""Images made of volumes: at once, lying on the volume's layers, or copied."""
