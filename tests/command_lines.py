"""The command lines as real processes."""

from __future__ import annotations

import io
import os
import subprocess
import sys


class Terminal(io.StringIO):
    """What a program takes for a terminal."""

    def isatty(self):
        return True


def start(program, *arguments, without=(), folder=None, out=subprocess.PIPE, **environment):
    """A real process, begun in a folder, in which some modules cannot be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({tuple(without)})); "
        f"sys.argv = [{program!r}, *sys.argv[1:]]; "
        f"from {program}.__main__ import main; main()"
    )
    command = [sys.executable, *(["-c", code] if without else ["-m", program])]
    return subprocess.run(
        [*command, *map(str, arguments)],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | environment,
    )
