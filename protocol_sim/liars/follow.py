"""What is asked of a gateway that believed a lie, once the honest session goes on without it.

Its answer to the lie is of another transcript, so an honest server drops it. The liar asks on:
every further request shows the victim what fits its own view as well as anything that exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol_sim.liars.behaviour import Change
from protocol_sim.liars.liar import CannotLie, Liar, Lie, replace
from protocol_sim.liars.requests import NO_SEAL, NO_SHARE, about, bits, items, set_of, swapped
from secagg.encoding import decode
from secagg.params import Struct
from secagg.schemes.additive.messages import (
    AnswerAgainRequest,
    AnswerRequest,
    Dealing,
    DealtShare,
    IncludedRequest,
    UploadRequest,
)
from secagg.schemes.masks.messages import (
    ConsistencyRequest,
    MaskedInputRequest,
    SealedShares,
    ShareKeys,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.session.loopback import Frame


def own(change: Change) -> Callable[[Liar], Lie]:
    """The victim alone is told something else, and asked on as if that were true.

    After the last question of a round there is nothing to ask but the honest one.
    """

    def make(liar: Liar) -> Lie:
        done: set[str] = set()

        def lie(frame: Frame) -> list[bytes]:
            if frame.up or frame.step not in liar.steps:
                return [frame.data]
            if (frame.gateway, frame.step) == (liar.victim, liar.phase):
                changed: Any = change(liar, liar.open(frame.data))
                done.update(liar.steps[: liar.steps.index(liar.phase) + 1])
                liar.view = _view(liar, changed)
                last = [frame.data] if liar.phase.startswith("answer") else []
                return [liar.frame(changed), *last]
            believed = bool(done) and liar.victim in liar.play.dropped
            if believed and frame.gateway != liar.victim and frame.step not in done:
                done.add(frame.step)
                for request in further(liar, liar.open(frame.data)):
                    liar.ask(request)
            return [frame.data]

        return lie

    return make


def _view(liar: Liar, message: Any) -> frozenset[int]:
    try:
        return set_of(liar, message)
    except CannotLie:
        return frozenset(liar.everybody)


def further(liar: Liar, message: Any) -> Iterator[Struct]:
    """Requests to the victim, given what another gateway was asked in this step.

    Args:
        liar: who lies.
        message: the other's.
    """
    match message:
        case ShareKeysRequest():
            yield _everybodys_keys(liar)
        case MaskedInputRequest():
            yield _round(liar, message)
        case ConsistencyRequest():
            yield _headers(liar)
        case UnmaskingRequest() | UploadRequest() | IncludedRequest():
            yield message
        case AnswerRequest(certificate=None):
            yield _shares(liar)
            yield AnswerAgainRequest(included=bits(liar, liar.view))
        case AnswerRequest():
            yield replace(message, shares=(), prekeys=())
        case _:
            return


def _of(liar: Liar, step: str) -> dict[int, Any]:
    """Everybody's answers to a step, by position."""
    return {liar.place(name): signed for (name, at), signed in liar.said.items() if at == step}


def _everybodys_keys(liar: Liar) -> Struct:
    adverts = _of(liar, "advertise_keys")
    nothing = ShareKeysRequest(present=bits(liar, ()), adverts=(), hashes=())
    request = about(liar, nothing, adverts)
    shown = {place: adverts[place] for place in items(liar, request, "adverts")}
    return swapped(liar, request, "adverts", shown)


def _round(liar: Liar, other: MaskedInputRequest) -> Struct:
    """P, and what everybody has dealt to the victim under its own h0."""
    nothing = replace(other, dealers=bits(liar, ()), shares=())
    request = about(liar, nothing, liar.view)
    sealed = {p: _sealed(liar, p) for p in items(liar, request, "shares")}
    return swapped(liar, request, "shares", sealed)


def _sealed(liar: Liar, dealer: int) -> SealedShares:
    name = liar.name(dealer)
    try:
        keys: Any = liar.asked[name, "share_keys"]
        dealt = decode(ShareKeys, liar.heard(name, "share_keys").body)
    except (KeyError, CannotLie):
        return NO_SEAL
    holders = sorted(set_of(liar, keys) - {dealer})
    if liar.me not in holders or len(holders) != len(dealt.ciphertexts):
        return NO_SEAL
    place = holders.index(liar.me)
    seed_share, key_share = dealt.commitments[place]
    return SealedShares(
        ciphertext=dealt.ciphertexts[place], seed_share=seed_share, key_share=key_share
    )


def _headers(liar: Liar) -> Struct:
    """U3: whom the victim knows and who has sent a header."""
    headers = _of(liar, "masked_input")
    liar.view = (liar.view & headers.keys()) | {liar.me}
    nothing = ConsistencyRequest(included=bits(liar, ()), headers=())
    request = about(liar, nothing, liar.view)
    shown = {place: headers[place] for place in items(liar, request, "headers")}
    return swapped(liar, request, "headers", shown)


def _shares(liar: Liar) -> Struct:
    """U3, and everybody's real shares for the victim; sealed under an h2 that is not its own."""
    liar.view = (liar.view & _of(liar, "upload").keys()) | {liar.me}
    nothing = AnswerRequest(included=bits(liar, ()), certificate=None, prekeys=(), shares=())
    request = about(liar, nothing, liar.view)
    dealt = {p: _dealt(liar, p) for p in items(liar, request, "shares")}
    return swapped(liar, request, "shares", dealt)


def _dealt(liar: Liar, dealer: int) -> DealtShare:
    name = liar.name(dealer)
    dealing = decode(Dealing, liar.heard(name, "upload").body)
    asked: Any = liar.asked.get((name, "upload"))
    receivers = sorted(set_of(liar, asked) - {dealer}) if asked is not None else []
    if liar.me not in receivers or len(receivers) != len(dealing.ciphertexts):
        return NO_SHARE
    ciphertext = dealing.ciphertexts[receivers.index(liar.me)]
    return replace(NO_SHARE, salt=dealing.salt, ciphertext=ciphertext)
