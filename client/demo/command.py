"""``autoloader demo`` and ``python -m client.demo``: options, exit code, and trouble as one line."""

import os
import sys
from typing import Annotated

import typer

from libs.common.errors import AutoloaderError


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove the demo's ingestion, table and files first, and start over.")
    ] = False,
) -> None:
    """Load the 336,776 flights of 2013 from a bucket into an Iceberg table, and count them.

    Needs the stack and the services to be up (make up, or: autoloader dev up --services). May be repeated.
    Exit code 0 means that the table holds every flight exactly once.
    """
    # gRPC prints its own opinion on forks and proxies to the terminal otherwise, in the middle of the progress bar.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Heavy imports wait until somebody really wants the demo: `autoloader --help` stays quick.
    from client.demo.screen import Screen
    from client.demo.settings import DemoSettings
    from client.demo.story import play
    from client.demo.trouble import DemoTrouble

    try:
        good = play(DemoSettings(), Screen(), fresh=fresh)
    except (DemoTrouble, AutoloaderError) as e:
        sys.stderr.write(f"demo: {e}\n")
        raise typer.Exit(1) from e
    except KeyboardInterrupt:
        sys.stderr.write("demo: stopped; what is under way goes on, and the next demo starts from there\n")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if good else 1)
