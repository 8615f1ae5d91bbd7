"""The agent of a host that only uses volumes: it makes devices, and says that it lives. It has no database."""
