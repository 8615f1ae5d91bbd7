"""Unpacking compressed images, in a process that can do nothing else."""
