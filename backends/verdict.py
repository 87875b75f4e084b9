"""What a backend raises on purpose about the graph that it was given; the program does not run again for it."""


class Verdict(AssertionError):
    """A backend has found a fault, in the graph or in what it made of it."""
