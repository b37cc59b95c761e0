"""`python -m coatcheck` is the command `coatcheck`."""

from __future__ import annotations

from coatcheck.cli import app

if __name__ == "__main__":
    app(prog_name="coatcheck")
