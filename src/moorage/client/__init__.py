"""HTTP clients of our own API and of the standard ones. Imports nothing of ours."""
