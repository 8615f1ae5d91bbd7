"""The command line: speaks HTTP, and to the agent of this host."""
