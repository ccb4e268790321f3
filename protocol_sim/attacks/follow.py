"""What is asked of a gateway that believed an attack, once the honest session goes on without it.

Its answer to the attack is of another transcript, so an honest server drops it. The attacker asks
on: every further request shows the victim what fits its own view as well as anything that exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protocol_sim.attacks.attack import Change
from protocol_sim.attacks.attacker import Attacker, CannotAttack, Hook, replace
from protocol_sim.attacks.requests import NO_SEAL, NO_SHARE, about, bits, items, set_of, swapped
from secagg.canonical import decode
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


def own(change: Change) -> Callable[[Attacker], Hook]:
    """The victim alone is told something else, and asked on as if that were true.

    After the last question of a round there is nothing to ask but the honest one.
    """

    def make(attacker: Attacker) -> Hook:
        done: set[str] = set()

        def hook(frame: Frame) -> list[bytes]:
            if frame.up or frame.step not in attacker.steps:
                return [frame.data]
            if (frame.gateway, frame.step) == (attacker.victim, attacker.phase):
                changed: Any = change(attacker, attacker.open(frame.data))
                done.update(attacker.steps[: attacker.steps.index(attacker.phase) + 1])
                attacker.view = _view(attacker, changed)
                last = [frame.data] if attacker.phase.startswith("answer") else []
                return [attacker.frame(changed), *last]
            believed = bool(done) and attacker.victim in attacker.play.dropped
            if believed and frame.gateway != attacker.victim and frame.step not in done:
                done.add(frame.step)
                for request in further(attacker, attacker.open(frame.data)):
                    attacker.ask(request)
            return [frame.data]

        return hook

    return make


def _view(attacker: Attacker, message: Any) -> frozenset[int]:
    try:
        return set_of(attacker, message)
    except CannotAttack:
        return frozenset(attacker.everybody)


def further(attacker: Attacker, message: Any) -> Iterator[Struct]:
    """Requests to the victim, given what another gateway was asked in this step.

    Args:
        attacker: who attacks.
        message: the other's.
    """
    match message:
        case ShareKeysRequest():
            yield _everybodys_keys(attacker)
        case MaskedInputRequest():
            yield _round(attacker, message)
        case ConsistencyRequest():
            yield _headers(attacker)
        case UnmaskingRequest() | UploadRequest() | IncludedRequest():
            yield message
        case AnswerRequest(certificate=None):
            yield _shares(attacker)
            yield AnswerAgainRequest(included=bits(attacker, attacker.view))
        case AnswerRequest():
            yield replace(message, shares=(), prekeys=())
        case _:
            return


def _of(attacker: Attacker, step: str) -> dict[int, Any]:
    """Everybody's answers to a step, by position."""
    return {
        attacker.place(name): signed for (name, at), signed in attacker.said.items() if at == step
    }


def _everybodys_keys(attacker: Attacker) -> Struct:
    adverts = _of(attacker, "advertise_keys")
    nothing = ShareKeysRequest(present=bits(attacker, ()), adverts=(), hashes=())
    request = about(attacker, nothing, adverts)
    shown = {place: adverts[place] for place in items(attacker, request, "adverts")}
    return swapped(attacker, request, "adverts", shown)


def _round(attacker: Attacker, other: MaskedInputRequest) -> Struct:
    """P, and what everybody has dealt to the victim under its own h0."""
    nothing = replace(other, dealers=bits(attacker, ()), shares=())
    request = about(attacker, nothing, attacker.view)
    sealed = {p: _sealed(attacker, p) for p in items(attacker, request, "shares")}
    return swapped(attacker, request, "shares", sealed)


def _sealed(attacker: Attacker, dealer: int) -> SealedShares:
    name = attacker.name(dealer)
    try:
        keys: Any = attacker.asked[name, "share_keys"]
        dealt = decode(ShareKeys, attacker.answer_of(name, "share_keys").body)
    except (KeyError, CannotAttack):
        return NO_SEAL
    holders = sorted(set_of(attacker, keys) - {dealer})
    if attacker.me not in holders or len(holders) != len(dealt.ciphertexts):
        return NO_SEAL
    place = holders.index(attacker.me)
    seed_share, key_share = dealt.commitments[place]
    return SealedShares(
        ciphertext=dealt.ciphertexts[place], seed_share=seed_share, key_share=key_share
    )


def _headers(attacker: Attacker) -> Struct:
    """U3: whom the victim knows and who has sent a header."""
    headers = _of(attacker, "masked_input")
    attacker.view = (attacker.view & headers.keys()) | {attacker.me}
    nothing = ConsistencyRequest(included=bits(attacker, ()), headers=())
    request = about(attacker, nothing, attacker.view)
    shown = {place: headers[place] for place in items(attacker, request, "headers")}
    return swapped(attacker, request, "headers", shown)


def _shares(attacker: Attacker) -> Struct:
    """U3, and everybody's real shares for the victim; sealed under an h2 that is not its own."""
    attacker.view = (attacker.view & _of(attacker, "upload").keys()) | {attacker.me}
    nothing = AnswerRequest(
        included=bits(attacker, ()), certificate=None, prekeys=(), hashes=(), shares=()
    )
    request = about(attacker, nothing, attacker.view)
    dealt = {p: _dealt(attacker, p) for p in items(attacker, request, "shares")}
    return swapped(attacker, request, "shares", dealt)


def _dealt(attacker: Attacker, dealer: int) -> DealtShare:
    name = attacker.name(dealer)
    dealing = decode(Dealing, attacker.answer_of(name, "upload").body)
    asked: Any = attacker.asked.get((name, "upload"))
    receivers = sorted(set_of(attacker, asked) - {dealer}) if asked is not None else []
    if attacker.me not in receivers or len(receivers) != len(dealing.ciphertexts):
        return NO_SHARE
    ciphertext = dealing.ciphertexts[receivers.index(attacker.me)]
    return replace(NO_SHARE, salt=dealing.salt, ciphertext=ciphertext)
