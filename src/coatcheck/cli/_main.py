"""The command's own options and its parts."""

from __future__ import annotations

import typer

from ._objects import app as objects
from ._serve import serve

app = typer.Typer(
    name="coatcheck",
    help="Hand a payload over, get an address, claim it back anywhere.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.add_typer(objects, name="objects")


@app.callback()
def coatcheck() -> None:
    """Hand a payload over, get an address, claim it back anywhere."""
