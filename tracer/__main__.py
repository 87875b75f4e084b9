"""`python -m tracer`: the command line. One module of tracer/commands per group of commands."""

import sys


def main() -> int:
    """Run the command that the arguments name; returns the status to exit with."""
    try:
        from tracer.commands import application
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(f"the command line needs {error.name}: pip install 'bytegraph[rules]'", file=sys.stderr)
        return 2
    return application.main()


if __name__ == "__main__":
    sys.exit(main())
