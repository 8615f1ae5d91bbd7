"""The schema's history: one file for each change, numbered, never edited once released. `migrate` applies them."""
