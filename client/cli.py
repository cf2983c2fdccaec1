"""The `autoloader` command. Each group of commands is a Typer app of its own and is mounted here."""

import typer

from devstack.cli import app as dev

app = typer.Typer(no_args_is_help=True, help="Keeps Apache Iceberg tables up to date with the files that land in object storage.")
app.add_typer(dev, name="dev")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
