"""What a capture relied on: access paths, the checks made at their ends, and why one failed."""
