"""Captures on disk: an entry as data, and files of such data. See docs/cache.md."""
