"""Facts about tensors and graphs: metas, their evaluation, and rewrites. Knows nothing of bytecode."""
