"""Data from outside: fetched over HTTP from where the configuration allows, and from nowhere else."""
