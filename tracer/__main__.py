"""`python -m tracer`: the command line. One module of tracer/commands per group of commands."""

import sys

try:
    from tracer.commands.application import main
except ModuleNotFoundError as error:
    if error.name != "typer":
        raise
    sys.exit("error: the command line needs typer: pip install 'bytegraph[rules]'")

if __name__ == "__main__":
    sys.exit(main())
