"""`python -m tracer`: the command line. One module of tracer/commands per group of commands."""

import sys

from tracer.commands.application import main

if __name__ == "__main__":
    sys.exit(main())
