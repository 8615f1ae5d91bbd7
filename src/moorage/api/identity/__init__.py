"""Identity v3 on the wire."""
