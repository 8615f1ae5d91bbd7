"""The journal: what is being done, by whom, how far it got, and how it is undone."""
