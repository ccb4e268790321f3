"""Sessions with cheaters in them: play one, judge it, compare it with what must come of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from protocol_sim.cheats.catalogue import CHEATS
from protocol_sim.cheats.cheat import Cheat, Expect
from protocol_sim.memory import Exchange
from protocol_sim.oracle import Verdict, judge
from protocol_sim.parties import Parties
from protocol_sim.play import Play
from secagg.errors import (
    AbortedByPeer,
    AggregateOutOfRange,
    BadDealing,
    InconsistentAnswers,
    SecAggError,
)
from secagg.protocol.events import SharesDisputed
from secagg.protocol.messages import DropReason
from secagg.schemes import scheme_of
from secagg.schemes.additive.scheme import Additive
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame

SILENCE: Final = frozenset({DropReason.SILENT.name, DropReason.VANISHED.name})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a session with cheaters.

    Attributes:
        verdict: of the session.
        cheaters: who cheated.
        named: cheater -> (phase, reason) for which it was dropped.
        wronged: honest gateways that were dropped though they had not vanished.
        blamed: gateways that the error names.
        disputes: (holder, dealer) that were reported.
        violation: what must never happen and did; "" else.
    """

    verdict: Verdict
    cheaters: tuple[str, ...]
    named: dict[str, tuple[str, str]]
    wronged: tuple[str, ...]
    blamed: tuple[str, ...]
    disputes: tuple[tuple[str, str], ...]
    violation: str


def play(
    cheat: Cheat,
    scheme: str,
    cheaters: Collection[str] = ("g1",),
    *,
    gateways: int = 0,
    seed: object = 0,
    vouched: bool = True,
) -> Outcome:
    """A session in which some gateways cheat in the same way.

    Args:
        cheat: what they do.
        scheme: name.
        cheaters: their names; where the cheat takes an accomplice, that is the last one.
        gateways: n; that of the cheat by default.
        seed: of keys and inputs.
        vouched: the link knows who sends.
    """
    cast = dict.fromkeys(cheaters, cheat)
    if cheat.accomplice:
        cast[list(cheaters)[-1]] = CHEATS[cheat.accomplice]
    return play_cast(
        cast,
        scheme,
        gateways=gateways or cheat.gateways,
        seed=seed,
        missing=cheat.missing,
        keeps=cheat.keeps,
        vouched=vouched,
    )


def play_cast(
    cast: Mapping[str, Cheat],
    scheme: str,
    *,
    gateways: int,
    seed: object = 0,
    missing: Iterable[str] = (),
    keeps: bool = False,
    vouched: bool = True,
) -> Outcome:
    """A session in which every gateway of the cast cheats in its own way.

    Args:
        cast: cheater -> what it does.
        scheme: name.
        gateways: n.
        seed: of keys and inputs.
        missing: points at which the last honest gateways vanish, one each.
        keeps: the orchestrator keeps uploads.
        vouched: the link knows who sends.
    """
    parties = Parties(gateways, _kept(scheme) if keeps else scheme_of(scheme), seed=seed)
    honest = [name for name in parties.ids if name not in cast]
    vanish = dict(zip(reversed(honest), missing, strict=False))
    # the second round: the first one's messages are there to be repeated
    exchange = Exchange(parties, 2, vanish=vanish, keep_log=False, vouched=vouched)
    hooks = {name: cheat.make(exchange, name) for name, cheat in cast.items()}

    def passes(frame: Frame) -> Iterable[bytes]:
        hook = hooks.get(frame.gateway)
        return (frame.data,) if hook is None else hook(frame)

    exchange.passes = passes
    return judge_run(exchange.play(), cast, vanished=vanish)


def _kept(scheme: str) -> Scheme:
    chosen = scheme_of(scheme)
    return replace(chosen, keep_uploads=True) if isinstance(chosen, Additive) else chosen


# -- judging ---------------------------------------------------------------------------------------


def judge_run(play: Play, cast: Mapping[str, Cheat], *, vanished: Collection[str] = ()) -> Outcome:
    """Judge a session that has ended.

    Args:
        play: the session.
        cast: cheater -> what it did.
        vanished: honest gateways that may be dropped for their silence.

    Other honest gateways that are absent may be dropped for anything, refuse anything, and be party
    to a dispute.
    """
    verdict, dropped = judge(play, cast), play.dropped
    excused = play.absent.keys() - set(vanished) - cast.keys()
    wronged = tuple(
        name
        for name, (_, reason) in dropped.items()
        if name not in {*cast, *excused} and not (name in vanished and reason in SILENCE)
    )
    disputes = tuple(
        (str(event.holder), str(event.dealer))
        for event in play.events
        if isinstance(event, SharesDisputed)
    )
    outcome = Outcome(
        verdict=verdict,
        cheaters=tuple(cast),
        named={name: drop for name, drop in dropped.items() if name in cast},
        wronged=wronged,
        blamed=_blamed(play.aborted),
        disputes=disputes or _pairs(play.aborted),
        violation="",
    )
    found = next(_violations(play, outcome, cast, frozenset(excused)), "")
    return replace(outcome, violation=found)


def _blamed(error: SecAggError | None) -> tuple[str, ...]:
    match error:
        case BadDealing(dealers=names) | InconsistentAnswers(culprits=names):
            return tuple(map(str, names))
        case _:
            return ()


def _pairs(error: SecAggError | None) -> tuple[tuple[str, str], ...]:
    if not isinstance(error, BadDealing):
        return ()
    return tuple((str(holder), str(dealer)) for holder, dealer in error.disputes)


def _violations(
    play: Play, outcome: Outcome, cast: Mapping[str, Cheat], excused: frozenset[str]
) -> Iterator[str]:
    """Everything that SECURITY.md says does not happen, whatever gateways do."""
    unnamed = any(cheat.unnamed for cheat in cast.values())
    if outcome.verdict.violation:
        yield outcome.verdict.violation
    yield from _wrongs(play, outcome, excused, unnamed=unnamed)
    for name in outcome.blamed:
        if name not in cast:
            yield f"the error blames honest {name}"
    for pair in outcome.disputes:
        if excused.union(cast).isdisjoint(pair):
            yield f"a dispute between honest {pair[0]} and {pair[1]}"
    if play.aborted is not None:
        yield from _unexplained(play, outcome, unnamed=unnamed)
    elif not play.running:
        away = {*cast, *excused, *outcome.verdict.dropped, *play.included}
        for name in sorted(set(play.cohort) - away):
            yield f"honest {name} was left out of the sum"


def _wrongs(
    play: Play, outcome: Outcome, excused: frozenset[str], *, unnamed: bool
) -> Iterator[str]:
    """Honest gateways that were dropped, or could not go on."""
    limits = play.settings.thresholds
    sparse = limits.certified and limits.degree < limits.gateways - 1
    # complaints of more than C holders prove nothing once so many were sent something else
    unproved = len(excused.union(outcome.cheaters)) > limits.max_colluding
    accused = {dealer for _, dealer in outcome.disputes}
    for name in outcome.wronged:
        phase, reason = outcome.verdict.dropped[name]
        # more liars than the code corrects; on a circulant, more false complaints than t leaves
        # room for (SECURITY.md)
        contradicted = reason == DropReason.CONTRADICTED.name and unnamed
        doubtful = unproved or (sparse and name in accused)
        rejected = reason == DropReason.BAD_DEALER.name and doubtful
        if not contradicted and not rejected:
            yield f"honest {name} was dropped in {phase}: {reason}"
    for name in sorted(set(play.cohort).difference(outcome.cheaters, excused)):
        error = play.failed(name)
        if not isinstance(error, AbortedByPeer | None):
            yield f"honest {name} refused the session: {type(error).__name__}: {error}"


def _unexplained(play: Play, outcome: Outcome, *, unnamed: bool) -> Iterator[str]:
    """Why a round ended without a result, if no cheater is named and nothing else explains it."""
    error = play.aborted
    if isinstance(error, InconsistentAnswers | BadDealing):
        if not (outcome.blamed or outcome.disputes or unnamed):
            yield f"nobody is named: {error}"
    elif isinstance(error, AggregateOutOfRange) and not unnamed:
        yield f"nobody is named, though nobody uploaded garbage: {error}"


# -- expectations ----------------------------------------------------------------------------------


def surprise(outcome: Outcome, cheat: Cheat) -> str:
    """How an outcome differs from what must come of a cheat; "" if it does not."""
    if outcome.violation:
        return outcome.violation
    cheaters = outcome.cheaters[:-1] if cheat.accomplice else outcome.cheaters
    expect = cheat.expected(len(cheaters))
    found = _found(outcome, cheaters)
    wanted = _wanted(expect, cheat, cheaters)
    differing = [
        f"{name}: {found[name]}, not {wanted[name]}"
        for name in wanted
        if found[name] != wanted[name]
    ]
    return "; ".join(differing)


def _found(outcome: Outcome, cheaters: tuple[str, ...]) -> dict[str, object]:
    return {
        "outcome": outcome.verdict.outcome,
        "dropped": {name: outcome.named[name] for name in cheaters if name in outcome.named},
        "blamed": bool(outcome.blamed),
        "disputed": bool(outcome.disputes),
        "wronged": outcome.wronged,
    }


def _wanted(expect: Expect, cheat: Cheat, cheaters: tuple[str, ...]) -> dict[str, object]:
    drop = expect.phase or cheat.step, expect.dropped
    return {
        "outcome": expect.outcome,
        "dropped": dict.fromkeys(cheaters, drop) if expect.dropped else {},
        "blamed": expect.blamed,
        # an accomplice's disputes are its own
        "disputed": expect.disputed or bool(cheat.accomplice),
        "wronged": expect.wronged,
    }


def markdown() -> str:
    """The table of cheats and what comes of each: one row a cheat, in Markdown."""
    rows = ["| step: cheat | schemes | one cheater | C cheaters |", "|---|---|---|---|"]
    for cheat in CHEATS.values():
        one, several = _words(cheat.expect), _words(cheat.together or cheat.expect)
        several = "" if several == one else several
        rows.append(f"| {cheat.name} | {', '.join(cheat.schemes)} | {one} | {several} |")
    return "\n".join(rows) + "\n"


def _words(expect: Expect) -> str:
    parts = ["exact sum" if expect.outcome == "sum" else f"`{expect.outcome}`"]
    parts += ["names it"] * expect.blamed
    parts += [f"dropped: {expect.dropped}"] * bool(expect.dropped)
    parts += ["pairs reported"] * expect.disputed
    parts += ["an honest gateway is contradicted"] * bool(expect.wronged)
    return ", ".join(parts)
