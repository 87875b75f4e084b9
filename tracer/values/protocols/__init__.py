"""The protocols of CPython's data model, each written once for every kind of item."""
