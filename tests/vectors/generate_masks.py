"""Writes masks_messages.json and masks_session.json beside this file; takes no arguments.

Origin: messages and frames are encoded by hand (messages_by_hand.py). The sessions are played by
the library itself at version 2; the first lists all randomness and all inputs, so that another
implementation can play it, and the tests play it with the reference too.

Run from the root of the repository: python -m tests.vectors.generate_masks
Each file is a list of operations; those with `"success": false` must fail with the named error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from secagg import Masks, canonical
from secagg.session.loopback import Frame
from tests.schemes.world import World, entropy
from tests.vectors import lies, messages_by_hand


def first_world() -> World:
    return World(Masks(), 4, seed="vectors", vanish={3: "masked_input"})


def second_world() -> World:
    """Both kinds of shares are used: of a dead dealer, and of a member that does not answer."""
    return World(Masks(), 6, seed="more vectors", vanish={5: "masked_input", 0: "unmasking"})


# -- sessions that succeed -------------------------------------------------------------------------


def described(world: World) -> dict[str, Any]:
    server = world.server._server
    world.play()
    return {
        "operation": "session",
        "gateways": world.gateways,
        "seed": world.seed,
        "vanish": {str(i): phase for i, phase in world.vanish.items()},
        "K": canonical.encode(server.params).hex(),
        "P": canonical.encode(server.round).hex(),
        "roster": canonical.encode(world.roster).hex(),
        "included": [*world.included],
        "sums": [list(map(str, sums)) for sums in world.opened],
        "audit": canonical.encode(world.server.audit).hex(),
        "success": True,
    }


def randomness(world: World) -> dict[str, Any]:
    """Everything a party of another implementation needs to say the same."""
    server = world.entropy("server")
    draws = [world.entropy("client", i) for i in world.ids]
    names = ("channel_key", "key_seed", "seed")
    return {
        "orchestrator": {
            "identity": entropy(world.seed, "orchestrator key")(32).hex(),
            "session": server(16).hex(),
            "channel_key": server(32).hex(),
        },
        "clients": [
            {"identity": entropy(world.seed, "key", i)(32).hex()}
            | {name: rng(32).hex() for name in names}
            | {"coefficients": rng(2 * 78).hex()}
            for i, rng in enumerate(draws)
        ],
        "inputs": [[list(map(str, x)) for x in world.encoded(i)] for i in world.ids],
    }


def render(operations: Sequence[dict[str, Any]]) -> str:
    origin = "tests/vectors/generate_masks.py"
    return json.dumps({"origin": origin, "operations": operations}, indent=1) + "\n"


def way(frame: Frame) -> tuple[str, int]:
    """From whom to whom: up from a gateway, or down to it."""
    return "up" if frame.up else "down", frame.gateway


def digests(world: World) -> list[list[Any]]:
    """Every frame of a session, hashed."""
    return [[*way(frame), hashlib.sha256(frame.data).hexdigest()] for frame in world.log]


def sessions() -> list[dict[str, Any]]:
    whole, short = first_world(), second_world()
    first, second = described(whole) | randomness(whole), described(short)
    first["frames"] = [[*way(frame), frame.data.hex()] for frame in whole.log]
    second["digests"] = digests(short)
    return [first, second, *lies.operations(whole)]


FILES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "masks_messages.json": messages_by_hand.operations,
    "masks_session.json": sessions,
}


def main() -> None:
    for name, operations in FILES.items():
        Path(__file__).with_name(name).write_text(render(operations()), encoding="utf-8")


if __name__ == "__main__":
    main()
