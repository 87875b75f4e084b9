"""Functions that a graph calls where torch has no operator: each takes and returns tensors, with all else fixed."""
