"""Images kept in volumes, of our own Block Storage or of any other: what OpenStack calls the cinder store."""
