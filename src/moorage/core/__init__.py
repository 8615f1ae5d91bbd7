"""What every room speaks of: problems, lifecycles, callers, pages. Standard library only."""
