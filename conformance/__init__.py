"""Conformance: the real clients in front of Moorage, what they saw compared with what the real services answered."""
