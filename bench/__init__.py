"""Measures OpenStack clouds that clouds.yaml names, with the same program, in one run."""
