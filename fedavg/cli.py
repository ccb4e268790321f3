"""`fedavg`: the entry point; what the extra brings is looked for only here."""

from __future__ import annotations

import sys
from typing import Final

EXTRAS: Final = ("typer", "rich", "torch", "sklearn", "matplotlib")


def main() -> None:
    """Run the command line, or say in one line what is not installed."""
    try:
        from fedavg.commands import app

        app()
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRAS:
            raise
        sys.exit(f"error: {missing.name} is not installed: pip install 'secagg[fedavg]'")


if __name__ == "__main__":
    main()
