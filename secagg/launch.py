"""Starts a command line, or says in one line which extra it lacks."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

from secagg.errors import install_hint

OWN: Final = ("secagg", "fedavg", "protocol_sim")
"""Packages of this distribution: one of their modules missing is a fault, not an extra."""


def launch(program: str, module: str, extra: str) -> None:
    """Run the `app` of `module` and end the process.

    Args:
        program: its name on the shell, also where it was started by `python -m`.
        module: holds the commands; it imports what the extra brings, this module does not.
        extra: brings what `module` and its commands import.
    """
    try:
        import_module(module).app(prog_name=program)
    except ModuleNotFoundError as missing:
        name = (missing.name or "").partition(".")[0]
        if name in OWN:
            raise
        sys.exit(f"error: {name} is not installed: {install_hint(extra)}")
