"""The graph of a capture: built append-only, checked, and shown. Knows nothing of bytecode or guards."""
