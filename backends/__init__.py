"""What runs a captured graph: a look-up of backends by name, and eager replay. Knows nothing of capture."""
