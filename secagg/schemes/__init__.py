"""The schemes: each hides one gateway's vector inside the sum of an agreed set.

A new scheme is a package here, a line in `BY_NAME`, and a public name in `secagg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secagg.arguments import checked
from secagg.errors import ConfigurationError, shown
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme

BY_NAME: Final[Mapping[str, type[Scheme]]] = {each.name: each for each in (Masks, Lattice, Ckks)}


@checked()
def scheme_of(name: str) -> Scheme:
    """The scheme of that name, with its own defaults.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in BY_NAME:
        raise ConfigurationError(f"scheme is {shown(name)}: use one of {', '.join(BY_NAME)}")
    return BY_NAME[name]()


def choices() -> str:
    """Every scheme and what it is best for, for a help text."""
    return ", ".join(f"{each.name} ({each.best_for})" for each in BY_NAME.values())
