"""One attack in one phase of one scheme, played to its end; and all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol_sim.attacks.attack import Attack, Stage
from protocol_sim.attacks.attacker import Attacker, Hook, attempt
from protocol_sim.attacks.catalogue import ATTACKS
from protocol_sim.attacks.expected import PHASES, expected, phases_of
from protocol_sim.attacks.ledger import AnswerLedger, protected_bytes, secret_bytes
from protocol_sim.oracle import named
from protocol_sim.parties import Parties
from secagg.canonical import decode
from secagg.crypto.labels import Label
from secagg.errors import LocalProtocolError
from secagg.protocol.messages import Answer, Signed
from secagg.schemes import scheme_of
from secagg.schemes.additive.messages import Dealing
from secagg.schemes.additive.scheme import Additive
from secagg.session import ClientSession
from secagg.session.loopback import Frame


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one attack in one phase of one scheme.

    Attributes:
        attack, scheme, phase: names.
        outcome: error that the victim named, or "sum" where it named none; behind it, where the
            round did not end in the exact sum, how it did.
        expected: what it must be.
        noticed: the step whose request made the victim name it; "" without an error.
        released: secret bytes that the attack has got (`ledger.secret_bytes`).
        protected: sealed and masked bytes that it has got (`ledger.protected_bytes`).
        verdicts: of the oracle, on each session of the round.
        violation: what must never happen and did; "" else.
    """

    attack: str
    scheme: str
    phase: str
    outcome: str
    expected: str
    noticed: str
    released: int
    protected: int
    verdicts: tuple[str, ...]
    violation: str

    @property
    def fine(self) -> bool:
        """It ended as it must, and nothing was released."""
        return self.outcome == self.expected and not self.released and not self.violation


def play_cell(attack: Attack, scheme: str, phase: str, *, seed: int = 0) -> Cell:
    """Play one round against an attacker.

    Args:
        attack: what it does.
        scheme: name of the scheme.
        phase: in which it does it.
        seed: of keys and of all randomness.
    """
    stage = attack.stage_of(scheme, phase)
    parties = _parties(stage, scheme, ("attacks", seed))
    victim = parties.ids[stage.victim]
    past = _session(parties, stage, 1).play() if stage.past or stage.carried else None
    number = 1 if past is None else 2
    setup = past.server.setup if past is not None and stage.carried else {}
    play = _session(parties, stage, number, setup=setup)
    attacker = Attacker(play, phase=phase, victim=victim, send=play.inject, past=past)
    hook = attack.make(attacker)
    play.use(attacker.around(_spoiling(attacker, hook) if stage.spoiled else hook)).play()
    attacker.then()
    sessions = [play, *(each for each in attacker.sessions if isinstance(each, AnswerLedger))]
    return _cell(attack, scheme, attacker, sessions)


def _parties(stage: Stage, scheme: str, seed: object) -> Parties:
    chosen = scheme_of(scheme)
    if stage.spoiled and isinstance(chosen, Additive):
        chosen = replace(chosen, keep_uploads=True)
    return Parties(stage.gateways, chosen, seed=seed)


def _session(parties: Parties, stage: Stage, number: int, **options: Any) -> AnswerLedger:
    victim = parties.ids[stage.victim]

    def client(name: str) -> ClientSession:
        policy = {"policy": stage.policy} if name == victim else {}
        return parties.client(name, number, **policy)

    vanish = {parties.ids[0]: 0} if stage.absent else {}
    settings = parties.settings(number, limits=stage.limits)
    return AnswerLedger(parties, number, settings=settings, client=client, vanish=vanish, **options)


def _spoiling(attacker: Attacker, hook: Hook) -> Hook:
    """The colluding gateway deals shares that do not open, so that there is a second question."""

    def spoiled(frame: Frame) -> list[bytes]:
        message = (
            attacker.open(frame.data) if frame.up and frame.gateway == attacker.colluder else None
        )
        if isinstance(message, Answer) and message.step == "upload":
            dealing = decode(Dealing, message.signed.body)
            garbage = tuple(bytes(len(each)) for each in dealing.ciphertexts)
            signed = _dealt(attacker, dealing, garbage)
            return [attacker.frame(Answer(step="upload", signed=signed))]
        return attempt(hook, frame)

    return spoiled


def _dealt(attacker: Attacker, dealing: Dealing, ciphertexts: tuple[bytes, ...]) -> Signed:
    other = Dealing(
        header=dealing.header,
        salt=dealing.salt,
        ciphertexts=ciphertexts,
        proof=dealing.proof,
        next_prekey=dealing.next_prekey,
    )
    return attacker.by_colluder(Label.SIGN_DEALING, other)


# -- what became of it -----------------------------------------------------------------------------


def _cell(
    attack: Attack, scheme: str, attacker: Attacker, sessions: Sequence[AnswerLedger]
) -> Cell:
    honest = [name for name in attacker.play.cohort if name != attacker.colluder]
    ends = [session.verdict.outcome for session in sessions]
    error, noticed = _named(attacker.victim, attacker.phase, sessions)
    return Cell(
        attack=attack.name,
        scheme=scheme,
        phase=attacker.phase,
        outcome=_outcome(error, ends),
        expected=expected(attack.name, scheme, attacker.phase),
        noticed=noticed,
        released=secret_bytes(sessions, honest),
        protected=protected_bytes(sessions, honest),
        verdicts=tuple(ends),
        violation=_violation(attacker.victim, honest, sessions),
    )


def _violation(victim: str, honest: Sequence[str], sessions: Sequence[AnswerLedger]) -> str:
    """What the oracle says, two sums of one round, or an attack that ended another's session."""
    sums = [session for session in sessions if session.verdict.outcome == "sum"]
    if len(sums) > 1:
        return "two sums of one round"
    for session in sums:
        for name in honest:
            if name in session.clients and name != victim and session.failed(name) is not None:
                return f"{name} was told nothing wrong and named {named(session.failed(name))}"
    return next((each.verdict.violation for each in sessions if each.verdict.violation), "")


def _named(victim: str, phase: str, sessions: Sequence[AnswerLedger]) -> tuple[str, str]:
    """The victim's error and where it noticed; that it was told of an end is none."""
    for session in sessions:
        error = named(session.failed(victim))
        was_told = error == "AbortedByPeer" and (len(sessions) > 1 or session.aborted is not None)
        if error and not was_told:
            return error, session.noticed.get(victim, "")
    for name, refusal in sessions[0].refused:
        if name == victim and not isinstance(refusal, LocalProtocolError):
            return named(refusal), phase
    return "", ""


def _outcome(error: str, ends: Sequence[str]) -> str:
    end = "sum" if "sum" in ends else ends[-1]
    if not error:
        return end
    return error if end == "sum" else f"{error}, {end}"


def matrix(
    attacks: Iterable[Attack] = ATTACKS,
    schemes: Iterable[str] = tuple(PHASES),
    phases: Iterable[str] | None = None,
    *,
    seed: int = 0,
    on_cell: Callable[[Cell], object] = lambda _cell: None,
) -> list[Cell]:
    """Play every cell of these attacks, schemes and phases.

    Args:
        attacks: rows.
        schemes: names.
        phases: names; all by default.
        seed: of every cell.
        on_cell: is told each cell as it has ended.
    """
    chosen, rows = None if phases is None else frozenset(phases), list(attacks)
    cells = []
    for scheme in schemes:
        for attack in rows:
            for phase in phases_of(attack.name, scheme):
                if chosen is None or phase in chosen:
                    cells.append(play_cell(attack, scheme, phase, seed=seed))
                    on_cell(cells[-1])
    return cells
