"""Sparse linear equations over GF(65521): what they say once unknowns are eliminated.

In masks all coefficients are 1 and -1, and a mask stands in one row or, with opposite signs, in
two: such a system is totally unimodular, so its rank is the same in every field and mod 2^64.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from secagg.crypto.reed_solomon import PRIME

Equation = dict[Hashable, int]
"""Coefficients that are not zero."""


def without(equations: Collection[Mapping[Hashable, int]], unknown: type) -> list[Equation]:
    """The combinations in which every unknown cancels.

    Args:
        equations: coefficients of unknowns and of the rest.
        unknown: type of the names of unknowns.
    """
    rest: list[Equation] = [dict(equation) for equation in equations]
    done: list[Equation] = []
    while rest:
        pivot = rest.pop()
        name = next((name for name in pivot if isinstance(name, unknown)), None)
        if name is None:
            done.append(pivot)
        else:
            rest = [_reduced(equation, pivot, name) for equation in rest]
    return [equation for equation in done if equation]


def basis(equations: Collection[Mapping[Hashable, int]], of: type) -> list[Equation]:
    """The reduced row echelon form, with respect to names of one type."""
    rest: list[Equation] = [dict(equation) for equation in equations]
    found: list[Equation] = []
    while rest:
        pivot = rest.pop()
        name = min((name for name in pivot if isinstance(name, of)), key=repr, default=None)
        if name is None:
            continue
        inverse = pow(pivot[name], -1, PRIME)
        pivot = {key: value * inverse % PRIME for key, value in pivot.items()}
        rest = [_reduced(equation, pivot, name) for equation in rest]
        found = [*(_reduced(equation, pivot, name) for equation in found), pivot]
    return found


def small(value: int) -> int:
    """The representative next to zero."""
    return value - PRIME if value > PRIME // 2 else value


def _reduced(equation: Equation, pivot: Equation, name: Hashable) -> Equation:
    if name not in equation:
        return equation
    factor = equation[name] * pow(pivot[name], -1, PRIME)
    mixed = {
        key: (equation.get(key, 0) - factor * pivot.get(key, 0)) % PRIME for key in equation | pivot
    }
    return {key: value for key, value in mixed.items() if value}
