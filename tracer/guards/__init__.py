"""Guards: the facts from outside that a capture relied on, and the words for one that fails."""
