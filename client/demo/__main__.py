"""``python -m client.demo``."""

import typer

from client.demo.command import demo

typer.run(demo)
