"""Built-in sources of calls: torch's database of operators, and models."""
