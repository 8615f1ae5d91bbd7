"""What we know of users, projects, roles, tokens and the catalog: embedded Identity."""
