"""Attacks with rounds and answers, in one session or two, judged by the leak oracle."""

from __future__ import annotations

from collections.abc import Collection

from protocol_sim.leaks.knowledge import Knowledge, leaks
from protocol_sim.leaks.recorder import Recorder
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.schemes.masks import Masks
from secagg.thresholds import derive_committee
from tests.protocol_sim.without_each_check.endings import named
from tests.protocol_sim.without_each_check.leaking_sets import of
from tests.schemes.additive.world import FIRST, Stage, View

# -- rounds ----------------------------------------------------------------------------------------


def parallel_sessions() -> str:
    """ "It failed, once more" without g1, in a session that was open before the round was spent."""
    return named(lambda: _twice(Parties(4), Parties(4)))


def once_more() -> str:
    """The same in a session that is announced afterwards."""
    return named(lambda: _twice(Parties(4), Parties(4), at_once=False))


def under_another_roster() -> str:
    """Every round once more, under a roster that nobody has pinned."""
    return named(lambda: _twice(Parties(4), Parties(4, epoch=2)))


def _twice(parties: Parties, announced: Parties, *, at_once: bool = True) -> list:
    recorder = Recorder()
    first = Exchange(parties, passes=recorder.around(), name="first")
    second = Exchange(
        announced,
        passes=recorder.around(),
        name="second",
        vanish={"g1": 0},
        client=lambda each: parties.client(each, "second"),
    )
    last = None
    for exchange in (first, second) if at_once else ():
        recorder.play = exchange
        exchange.play_until(Masks.steps[2].name)
    for exchange in (first, second):
        recorder.play = last = exchange
        exchange.play()
    failed = [error for name in second.cohort if (error := last.failed(name)) is not None]
    if failed:
        raise failed[0]
    return leaks(Knowledge.of(recorder, ["g3"]))


class Members:
    """Real members of an additive scheme, all of whose questions and answers are heard."""

    def __init__(self, stage: Stage | None = None, allies: Collection[int] = (3,)) -> None:
        self.stage, self.recorder = stage or Stage(derive_committee(4)), Recorder()
        self.journals = [self.stage.journal(i) for i in range(self.stage.n)]
        self.allies = [*map(str, allies)]
        for i in allies:
            key = self.journals[i].prekey(self.stage.roster.hash(), FIRST.number)
            self.recorder.give_keys(str(i), [key])

    def dealt(self, i: int, view: View = FIRST, *, upload: bool = False):
        client = self.stage.client(i, view, self.journals[i])
        self.ask(client, i, "upload", self.stage.upload_request(view, i), view)
        if upload:
            self.stage.upload(client, view)
        return client

    def ask(self, client, i: int, step: str, request, view: View = FIRST):
        session = self.stage.announce(view).claimed.session
        self.recorder.add_request(session, str(i), request)
        self.recorder.add_answer(session, str(i), step, signed := client.receive(request))
        return signed

    @property
    def knowledge(self) -> Knowledge:
        return Knowledge.of(self.recorder, self.allies)


def a_set_below_the_floor() -> str:
    def play() -> list:
        members = Members()
        for i in range(4):
            client = members.dealt(i, upload=i == 0)
            members.ask(client, i, "answer", members.stage.question(i, of(0, 3) - {i} | {0}))
        return leaks(members.knowledge)

    return named(play)


def two_answers_of_a_member() -> str:
    """Asked for all, then again for a part: the second step is for those that complained."""

    def play() -> list:
        members = Members()
        for i in range(4):
            client = members.dealt(i, upload=True)
            members.ask(client, i, "answer", members.stage.question(i, of(0, 1, 2, 3)))
            if i in (0, 1, 3):
                members.ask(client, i, "answer_again", members.stage.again(of(0, 1, 3)))
        return leaks(members.knowledge)

    return named(play)


def answers_in_two_sessions() -> str:
    """Both are open before the first answer. 0 and 1 upload in the first, 2 in the second.

    0 answers in both. Of two such sets one has a member that did not upload: its key hides the sum
    of the uploads, not that of the keys, which is what the oracle counts.
    """

    def play() -> list:
        members, other = Members(), View(session=1)
        first = [members.dealt(i) for i in range(4)]
        second = [members.dealt(i, other) for i in range(4)]
        for i in (0, 1):
            members.stage.upload(first[i], FIRST)
        members.stage.upload(second[2], other)
        for i in (0, 1):
            members.ask(first[i], i, "answer", members.stage.question(i, of(0, 1, 3)))
        for i in (2, 0):
            asked = members.stage.question(i, of(1, 2, 3), view=other)
            members.ask(second[i], i, "answer", asked, other)
        return leaks(members.knowledge)

    return named(play)


def answers_in_a_later_session() -> str:
    """The second session is opened when the first is answered."""

    def play() -> list:
        members, other = Members(), View(session=1)
        for i in range(4):
            client = members.dealt(i, upload=True)
            members.ask(client, i, "answer", members.stage.question(i, of(0, 1, 2, 3)))
        for i in range(4):
            client = members.dealt(i, other)
            included = of(0, 1, 2, 3) - {i}
            asked = members.stage.question(i, included, view=other)
            members.ask(client, i, "answer", asked, other)
        return leaks(members.knowledge)

    return named(play)
