"""Chaos: many clients at work while everything is killed and stopped; then every invariant and every byte is checked."""
