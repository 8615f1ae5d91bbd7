"""The journal: killed, stopped, failing, twice, at once."""
