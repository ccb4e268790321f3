"""`protocol_sim`: the entry point; what the extra brings is looked for only here."""

from __future__ import annotations

import sys
from typing import Final

EXTRAS: Final = ("typer", "rich", "matplotlib")


def main() -> None:
    """Run the command line, or say in one line what is not installed."""
    try:
        from protocol_sim.commands import app

        app()
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        sys.exit(f"error: {name} is not installed: pip install 'secagg[sim]'")


if __name__ == "__main__":
    main()
