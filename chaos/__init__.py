"""Chaos: many clients at work while everything is killed and stopped; then all invariants and bytes are checked."""
