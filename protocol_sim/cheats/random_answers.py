"""Cheats that nobody thought of: a random field of an answer is random, and well signed."""

from __future__ import annotations

import random
from typing import Any, Final

from msgspec.structs import replace

from protocol_sim.cheats.cheat import Cheat, Make, altering
from protocol_sim.cheats.cheater import Cheater
from protocol_sim.randomness import dice
from secagg.params import Struct
from secagg.protocol.messages import Signed
from secagg.schemes import scheme_of

UNNAMED: Final = frozenset({"answer", "answer_again"})
"""Where more liars than the code corrects are found and not named."""


def random_cheat(seed: object, scheme: str) -> Cheat:
    """A cheat that follows from a seed; what comes of it, only the oracle says.

    Args:
        seed: names it.
        scheme: name.
    """
    rng = dice("lie", seed, scheme)
    step = rng.choice(scheme_of(scheme).steps)
    field = rng.choice(step.answer.__struct_fields__)
    return Cheat(
        (scheme,),
        step.name,
        f"random {field}, {seed}",
        f"Changes {field} at random.",
        _changing(step.name, field, rng.random()),
        unnamed=step.name in UNNAMED,
    )


def _changing(step: str, field: str, seed: float) -> Make:
    def change(body: Any, cheater: Cheater) -> Struct:
        # the same change whenever the same answer is given
        rng = dice("change", seed, cheater.name)
        changed: Struct = replace(body, **{field: _other(getattr(body, field), rng)})
        return changed

    return altering(step, change)


def _other(value: Any, rng: random.Random) -> Any:
    """Something else of the same type."""
    match value:
        case int():
            return rng.choice([value + 1, value ^ 1, 0, 2**32, 2**63 - 1])
        case str():
            return value + "x"
        case bytes():
            return _other_bytes(value, rng)
        case tuple():
            return _other_items(value, rng)
        case Signed():
            name = rng.choice(["body", "signature"])
            return replace(value, **{name: _other_bytes(getattr(value, name), rng)})
        case _:
            return value


def _other_bytes(value: bytes, rng: random.Random) -> bytes:
    kind = rng.choice(["flip", "cut", "longer", "zeros", "random", "none"])
    if kind == "flip" and value:
        place = rng.randrange(8 * len(value))
        changed = bytearray(value)
        changed[place // 8] ^= 1 << place % 8
        return bytes(changed)
    others = {
        "cut": value[: len(value) // 2],
        "longer": value + rng.randbytes(1 + rng.randrange(64)),
        "zeros": bytes(len(value)),
        "random": rng.randbytes(len(value)),
    }
    return others.get(kind, b"")


def _other_items(value: tuple[Any, ...], rng: random.Random) -> tuple[Any, ...]:
    kind = rng.choice(["one", "one", "all", "less", "twice", "order", "none"])
    match kind:
        case "one" if value:
            place = rng.randrange(len(value))
            return (*value[:place], _other(value[place], rng), *value[place + 1 :])
        case "all":
            return tuple(_other(each, rng) for each in value)
        case "less":
            return value[1:]
        case "twice":
            return value * 2
        case "order":
            return tuple(rng.sample(value, len(value)))
        case _:
            return ()
