"""The house in order: small files and functions, and one idea for each name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import secagg

HOUSE = Path(secagg.__file__).parent
FILES = {str(path.relative_to(HOUSE)): path for path in sorted(HOUSE.rglob("*.py"))}
MAX_FILE, MAX_FUNCTION = 350, 60
"""Lines."""
PROTOCOLS = {
    ("schemes/masks/reference.py", "run_masks"),
    ("schemes/additive/reference.py", "run_additive"),
}
"""Whole protocols on one page each, to be read beside their papers."""

SHARED = {
    "BITS": "sizes of the primes of a shared-key ring",
    "DEGREE": "N of a ring",
    "MAX_BYTES": "largest ciphertext of a shared-key scheme",
    "MESSAGES": "wire codes of a protocol",
    "NoiseStream": "one thread's noise of one upload",
    "Outcome": "what a reference protocol gives",
    "PHASES": "the exchanges of a reference protocol",
    "PRIME": "of the field that shares are in",
    "Residues": "numbers modulo the ring's Q",
    "STEPS": "the exchanges of a protocol",
    "Span": "(vector, first word, words) of one frame",
    "T": "any type",
    "TAG_BYTES": "of AES in Galois mode",
    "Words": "uint64 words of a vector",
    "challenge": "the proof's challenge",
    "check_ring": "a ring out of P against the tables",
    "combine": "opens a Shamir sharing",
    "encrypt": "of a ring's reference",
    "lagrange": "interpolation weights",
    "noise_of": "bound of the noise of a round",
    "noise_of_sum": "bound of the noise of a sum",
    "plan": "what a round of this size will take",
    "split": "deals a Shamir sharing",
    "uniform": "uniform field elements",
    "update_limit": "largest absolute lane of one gateway",
}
"""Names that several files define: the one idea of each."""


def functions(file: str) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(FILES[file].read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def names(file: str) -> set[str]:
    """Public names that a module defines, imports aside."""
    found = set()
    for node in ast.parse(FILES[file].read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {
                    each.id
                    for target in targets
                    for each in ast.walk(target)
                    if isinstance(each, ast.Name)
                }
    return {name for name in found if not name.startswith("_")}


def test_no_file_is_long():
    lines = {file: len(path.read_text().splitlines()) for file, path in FILES.items()}

    assert {} == {file: count for file, count in lines.items() if count > MAX_FILE}


def test_no_function_is_long_but_the_reference_protocols():
    long = {
        (file, each.name)
        for file in FILES
        for each in functions(file)
        if each.end_lineno - each.lineno >= MAX_FUNCTION
    }

    assert PROTOCOLS == long


def test_a_name_in_several_files_is_one_idea():
    places = defaultdict(list)
    for file in FILES:
        for name in names(file):
            places[name].append(file)
    several = {name: files for name, files in places.items() if len(files) > 1}

    assert {} == {name: files for name, files in several.items() if name not in SHARED}
    assert set() == SHARED.keys() - several.keys()
