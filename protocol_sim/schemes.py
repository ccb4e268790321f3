"""The schemes by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secagg.errors import ConfigurationError
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.scheme import Scheme

SCHEMES: Final[Mapping[str, Scheme]] = {
    scheme.name: scheme for scheme in (Masks(), Lattice(), Ckks())
}


def scheme_of(name: str) -> Scheme:
    """The scheme of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in SCHEMES:
        raise ConfigurationError(f"scheme is {name!r}: use {', '.join(SCHEMES)}")
    return SCHEMES[name]
