"""Calls of captured code: cached entries, their guards natively evaluated, nested frames intercepted."""
