"""How each backend, store, hypervisor and connector does what the rooms below ask of it."""
