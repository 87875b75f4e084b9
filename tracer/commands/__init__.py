"""Commands of `python -m tracer`: thin, each a few lines around what passes/ and tracer/ can do."""
