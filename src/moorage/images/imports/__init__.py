"""Imports: where bytes come from, where they wait, what becomes of them, and the task that tells how far they are."""
