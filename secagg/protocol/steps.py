"""Defines the table of exchanges: a scheme lists its `Step`s, and both roles read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secagg.crypto.labels import Label
from secagg.params import Struct
from secagg.protocol.messages import Signed

ABORT = "abort"
"""Step name of a client's own farewell."""


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange: the server's request and the client's signed answer.

    Attributes:
        name: name of the phase.
        request: message type, server to client.
        answer: type of the signed body, client to server.
        label: what the answer's signature or MAC is for.
        durable: the answer is journalled before it leaves (from the first share on).
        mac: a MAC authenticates the answer, which the server alone reads, instead of a signature.
        optional: a session may do without this step.
        upload: the frames of an upload follow the answer; once the step is closed the included set
            is fixed, and who vanishes later is in the sum all the same.
    """

    name: str
    request: type[Struct]
    answer: type[Struct]
    label: Label
    durable: bool = True
    mac: bool = False
    optional: bool = False
    upload: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scheme's server does in one step.

    Attributes:
        check: takes (position, body); raises `Unproven` unless the body is of this transcript and
            position. It changes nothing.
        accept: takes (position, body, signed) of an answer that has passed; True when this gateway
            has answered in full.
        close: takes the positions that answered; returns the next step's requests, none when the
            session is done.
        needed: answers without which the round cannot go on.
        verify: in place of the signature check: takes (position, signed), raises `BadSignature`. It
            runs on several threads and changes nothing.
    """

    check: Callable[[int, Any], None]
    accept: Callable[[int, Any, Signed], bool]
    close: Callable[[frozenset[int]], Mapping[int, Struct]]
    needed: int
    verify: Callable[[int, Signed], None] | None = None


def upload_index(steps: Sequence[Step]) -> int:
    """Which step the upload belongs to."""
    return next(index for index, step in enumerate(steps) if step.upload)
