"""Attacks that a single check stands against: the leak oracle says what they lead to."""

from __future__ import annotations

from protocol_sim.attacks.requests import NO_SEAL
from protocol_sim.leaks.knowledge import Knowledge, leaks
from protocol_sim.leaks.masks import Shown
from protocol_sim.leaks.questions import MODEL, PURPOSES, Questions, zeros
from protocol_sim.leaks.recorder import Recorder
from protocol_sim.randomness import entropy
from secagg import canonical
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.params import Thresholds
from secagg.protocol.messages import Signed
from secagg.protocol.policy import Policy
from secagg.protocol.prekeys import Prekey
from secagg.schemes.masks.messages import (
    AdvertiseKeys,
    MaskedInputRequest,
    ShareKeysRequest,
)
from secagg.thresholds import derive, derive_committee, neighbours, quorum
from tests.protocol_sim.without_each_check.endings import named, replace, strategy
from tests.protocol_sim.without_each_check.source import find, without
from tests.schemes.additive.world import FIRST, Stage

FOUR = derive(4)


def of(*positions: int) -> frozenset[int]:
    return frozenset(positions)


# -- sets, in scheme masks -------------------------------------------------------------------------


def shown(n: int, allies: frozenset[int], u3: frozenset[int] | None, **others: Shown) -> list:
    """Everybody sees everybody as U2, and this U3, but for some."""
    same = Shown(0, 0, frozenset(range(n)), u3)
    return [None if i in allies else others.get(f"g{i}", same) for i in range(n)]


def left_out_of_u3() -> str:
    """Gateway 0 answers for a set without itself: its own b beside the others' shares of its s."""
    return strategy(FOUR, shown(4, of(3), of(1, 2, 3)), of(3))


def two_sets() -> str:
    other = Shown(0, 0, of(0, 1, 2, 3), of(1, 2, 3))
    return strategy(FOUR, shown(4, of(3), of(0, 1, 3), g2=other), of(3))


def an_ally_that_dealt_nothing() -> str:
    view = Shown(0, 0, of(0, 1, 2), of(0, 1, 3))
    return strategy(FOUR, [view, view, view, None], of(3))


def circulant(n: int, k: int, c: int, d: int, t: int) -> Thresholds:
    q = quorum(n, c)
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=t,
        quorum=q,
        min_included=max(c + 2, q),
        degree=k,
    )


def eclipsed() -> str:
    """Gateway 0 masks under a U2 without its neighbours, on a test-only circulant."""
    limits = circulant(10, 4, 1, 2, 2)
    everybody = frozenset(range(10))
    alone = Shown(0, 0, everybody - neighbours(limits, 0), None)
    with without(find("check_announce: thresholds.verify_thresholds")):
        return strategy(limits, shown(10, of(5), everybody, g0=alone), of(5))


def cut_off() -> str:
    """All neighbours of gateway 0 are said to have vanished, on a test-only circulant."""
    limits = circulant(12, 4, 1, 2, 2)
    everybody, near = frozenset(range(12)), neighbours(limits, 0)
    gone = {f"g{i}": Shown(0, 0, everybody, None) for i in near}
    with without(find("check_announce: thresholds.verify_thresholds")):
        return strategy(limits, shown(12, of(6), everybody - near, **gone), of(6))


def shares_that_c_open() -> str:
    limits = replace(FOUR, share_threshold=FOUR.max_colluding)
    return strategy(limits, shown(4, of(3), None), of(3))


def few_are_said_to_collude() -> str:
    """C = 1 is announced to eight gateways of whom two collude."""
    limits = derive(8, max_colluding=1)
    other = Shown(0, 0, frozenset(range(8)), of(3, 4, 5, 6, 7))
    views = shown(8, of(6, 7), of(0, 1, 2, 6, 7), g3=other, g4=other, g5=other)
    return strategy(limits, views, of(6, 7), policy=Policy(bounds=PURPOSES))


def a_smaller_n() -> str:
    """The quorum of four gateways in a cohort of five certifies two sets."""
    other = Shown(0, 0, of(0, 1, 2, 3, 4), of(0, 2, 3, 4))
    views = shown(5, of(4), of(0, 1, 2, 4), g2=other, g3=other)
    return strategy(FOUR, views, of(4), gateways=5)


# -- keys ------------------------------------------------------------------------------------------


def keys_of_the_server() -> str:
    """Gateway 0 is shown keys of the server in the names of all honest ones."""
    return named(_keys_of_the_server)


def _keys_of_the_server() -> list:
    questions, recorder = Questions(FOUR, of(3)), Recorder()
    session, client = questions.params.session, questions.client(0)
    draw = entropy("forged")

    def ask(step, request):
        recorder.add_request(session, "0", request)
        recorder.add_answer(session, "0", step, signed := client.receive(request))
        return signed

    honest = canonical.decode(AdvertiseKeys, ask("advertise_keys", questions.announce).body)
    request, adverts = questions.keys(0, 0), []
    for i in (1, 2):
        privates = draw(32), draw(32)
        recorder.give_keys("", privates)
        channel, mask = map(public_key, privates)
        forged = replace(honest, position=i, channel_key=channel, mask_key=mask)
        adverts.append(Signed.make(questions.orchestrator.key, Label.SIGN_ADVERTISE, forged))
    adverts = (request.adverts[0], *adverts, request.adverts[3])
    ask("share_keys", ShareKeysRequest(present=request.present, adverts=adverts, hashes=()))
    upload = MaskedInputRequest(
        round=questions.signed_round(0),
        dealers=questions.cohort.bits(of(0, 1, 2, 3)),
        shares=(NO_SEAL,) * 3,
    )
    ask("masked_input", upload)
    for frame in client.upload(lambda: zeros, MODEL):
        recorder.up("0", frame)
    return leaks(Knowledge.of(recorder, ["3"]))


def prekeys_of_the_server() -> str:
    """The same in the additive schemes: shares are sealed to the server."""
    return named(_prekeys_of_the_server)


def _prekeys_of_the_server() -> list:
    stage, recorder = Stage(derive_committee(4)), Recorder()
    request, draw = stage.upload_request(), entropy("forged")
    prekeys = list(request.prekeys)
    for i in (1, 2):
        private = draw(32)
        recorder.give_keys("", [private])
        body = replace(canonical.decode(Prekey, prekeys[i].body), key=public_key(private))
        prekeys[i] = Signed.make(stage.orchestrator.key, Label.SIGN_PREKEY, body)
    recorder.give_keys("3", [stage.journal(3).prekey(stage.roster.hash(), FIRST.number)])
    request = replace(request, prekeys=tuple(prekeys))
    session = stage.announce(FIRST).claimed.session
    recorder.add_request(session, "0", request)
    recorder.add_answer(session, "0", "upload", stage.client(0).receive(request))
    return leaks(Knowledge.of(recorder, ["3"]))
