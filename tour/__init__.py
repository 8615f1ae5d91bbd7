"""The tour: what a new user does, from a Debian image to a mounted volume, with the real clients and nothing faked."""
