"""States what each scheme protects against and what breaks it, which no clock measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from math import sqrt
from typing import Final

from benchmarks.overhead_cases import CUSTOMARY, LEAN, NVFLARE, PLAIN
from benchmarks.ring_security import BINOMIAL, Problem, estimate

THREATS: Final = ("listens", "lies", "1 ally", "C allies", "sums")
"""What the orchestrator does or has: whether single updates stay hidden from it then."""
LEGEND: Final = (
    "The orchestrator: listens to what it is sent and does as it should; lies, invents dropouts, "
    "shows every gateway something else; has one gateway for an ally, or C; sees the exact sums "
    "of many rounds, because they are published."
)
_TERNARY: Final = sqrt(2 / 3)
"""Width of SEAL's secret keys, whose coefficients are -1, 0 and 1."""
_NOISE: Final = 3.2
"""Width of SEAL's noise."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a person should know before choosing.

    Attributes:
        holds: whether updates stay hidden, for each of `THREATS`.
        keys: who holds which.
        broken_by: the smallest collusion that reads a single update.
        exchanges: of a steady round; in brackets the first one.
        bits: claimed, and by our own estimate where there is one.
        remarks: what the answers rest on.
    """

    holds: tuple[bool, ...]
    keys: str
    broken_by: str
    exchanges: str
    bits: str
    remarks: str

    @property
    def private(self) -> bool:
        """Whether all of it holds."""
        return all(self.holds)


_ALL: Final = (True,) * len(THREATS)
_SHARED: Final = (True, False, False, False, False)
_ONE_KEY: Final = "one secret key, the same at every gateway, for as long as it is used"
_ONE_GATEWAY: Final = "the orchestrator and any one gateway: they read every upload of every round"
_CUSTOM_REMARKS: Final = (
    "Hides updates from an orchestrator that has no gateway on its side, does as it is told and "
    "never sees a decrypted sum at full precision. Such sums give it the key after one or two "
    "rounds (Li and Micciancio, On the security of homomorphic encryption on approximate numbers, "
    "2021); a test in this repository does that. It can also have a single upload decrypted as if "
    "it were the sum."
)


@cache
def facts(scheme: str) -> Facts:
    """Facts of a scheme by its name.

    Raises:
        KeyError: there is no such scheme.
    """
    return _MADE[scheme]()


def _plain() -> Facts:
    return Facts(
        holds=(False,) * len(THREATS),
        keys="nobody",
        broken_by="the orchestrator alone: it is given every update",
        exchanges="1",
        bits="0",
        remarks="What federated averaging is without protection.",
    )


def _masks() -> Facts:
    return Facts(
        holds=_ALL,
        keys="every gateway its own, fresh each round; its neighbours hold shares of them",
        broken_by="the orchestrator and more than C gateways",
        exchanges="3 (5)",
        bits="128 (X25519, AES-128)",
        remarks="Neighbours add masks that cancel in the sum. The sum itself is what is revealed.",
    )


def _additive(ring: Problem) -> Facts:
    left = estimate(ring.after_the_hint())
    return Facts(
        holds=_ALL,
        keys="every gateway its own, for one upload; a committee holds shares and opens the sum",
        broken_by="the orchestrator and more than C gateways",
        exchanges="2 (3), above 64 gateways 3",
        bits=f"128 (X25519, AES-128); ring {left.classical:.0f} by our estimate",
        remarks=(
            "Each upload is encrypted under a key that is used once; only the sum of the keys is "
            "ever opened, and it decrypts no single upload. Rests on ring learning with errors."
        ),
    )


def _shared(ring: Problem) -> Facts:
    return Facts(
        holds=_SHARED,
        keys=_ONE_KEY,
        broken_by=_ONE_GATEWAY,
        exchanges="1",
        bits=f"128 by SEAL's table; {estimate(ring).classical:.0f} by our estimate",
        remarks=_CUSTOM_REMARKS,
    )


_MADE: Final[Mapping[str, Callable[[], Facts]]] = {
    PLAIN: _plain,
    "masks": _masks,
    "lattice": partial(_additive, Problem(2048, 32, BINOMIAL)),
    "ckks": partial(_additive, Problem(2048, 40, 16.0)),
    LEAN: partial(_shared, Problem(2048, 54, _NOISE, _TERNARY)),
    CUSTOMARY: partial(_shared, Problem(8192, 200, _NOISE, _TERNARY)),
    NVFLARE: partial(_shared, Problem(8192, 140, _NOISE, _TERNARY)),
}
