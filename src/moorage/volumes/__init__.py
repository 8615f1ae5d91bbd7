"""What we know of volumes: their records, states and rules."""
