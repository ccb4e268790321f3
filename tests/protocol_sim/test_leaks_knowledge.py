"""What a server can compute from real messages: the agreed sum, to the last word, and nothing else.

Controls: gateways that collude in larger numbers than promised, journals that were rolled back, and
thresholds or floors that no real gateway would accept.
"""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from protocol_sim.leaks.additive import Sharing
from protocol_sim.leaks.derived_masks import opened
from protocol_sim.leaks.equations import basis, without
from protocol_sim.leaks.knowledge import Knowledge, leaks
from protocol_sim.leaks.masks import Rules, judge, subsets
from protocol_sim.leaks.names import Input, Unknown
from protocol_sim.leaks.questions import MODEL, Questions, Upload, asked, zeros
from protocol_sim.leaks.recorder import Recorder
from protocol_sim.leaks.strategies import every_strategy
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.randomness import dice
from secagg import wire
from secagg.errors import SecAggError
from secagg.fixed_point.reference import unpack
from secagg.protocol.journal import MemoryJournal
from secagg.schemes.additive import Ckks, Lattice
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import ConsistencyRequest, UnmaskingRequest
from secagg.thresholds import derive, derive_committee
from tests.protocol_sim.without_each_check.leaking_rounds import Members
from tests.schemes.additive.world import Floorless, Stage

SCHEMES = [Masks(), Lattice(), Ckks()]
IDS = [scheme.name for scheme in SCHEMES]


def overheard(parties, *, vanish=None, recorder=None, name="", **options):
    """An honest session and the ear of its server."""
    recorder = recorder or Recorder()
    exchange = Exchange(parties, passes=recorder.around(), vanish=vanish, name=name, **options)
    recorder.play = exchange
    return exchange.play(), recorder


def open_sets(knowledge):
    """Of each computable combination whose inputs are in it."""
    return [
        frozenset(name.gateway for name in equation if isinstance(name, Input))
        for equation in knowledge.open()
    ]


# -- honest sessions -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES, ids=IDS)
@pytest.mark.parametrize("vanish", [None, "header", "last", "after"])
def test_an_honest_session_opens_its_sum_whoever_colludes(scheme, vanish):
    parties = Parties(5, scheme)
    late = "unmasking" if scheme.name == "masks" else "answer"
    exchange, recorder = overheard(
        parties, vanish={"g2": late if vanish == "after" else vanish} if vanish else None
    )
    for colluding in [(), *((name,) for name in parties.ids)]:
        knowledge = Knowledge.of(recorder, colluding)

        assert [] == leaks(knowledge)
        assert {frozenset(exchange.included) - {*colluding}} == set(open_sets(knowledge))


@pytest.mark.parametrize("scheme", SCHEMES, ids=IDS)
def test_a_session_without_a_result_opens_nothing(scheme):
    exchange, recorder = overheard(Parties(5, scheme), vanish={"g1": "last", "g2": "last"})

    assert exchange.aborted is not None
    assert [] == Knowledge.of(recorder, ["g0"]).open()


@pytest.mark.parametrize("vanish", [None, "half", "unmasking"])
def test_the_sum_is_computed_from_the_words_that_were_heard(vanish):
    """The equations are not only about names: the masks they cancel are those in the uploads."""
    parties = Parties(5)
    exchange, recorder = overheard(parties, vanish={"g2": vanish} if vanish else None)
    allies = frozenset({"g0"})
    [equation] = Knowledge.of(recorder, allies).open()
    params = exchange.server._server.round
    expected = parties.expected(params, sorted({*exchange.included} - allies))
    found, at = opened(recorder, allies, equation), 0
    for spec, right in zip(params.vectors, expected, strict=True):
        words = found[at : at + spec.words]
        at += spec.words

        assert list(right) == unpack(spec, words.tolist())[: spec.length]
    assert len(found) == at


def test_a_circulant_session_opens_its_sum():
    parties = Parties(65)
    exchange, recorder = overheard(parties, vanish={"g9": "last", "g40": "header"})
    allies = parties.ids[10 : 10 + exchange.settings.thresholds.max_colluding]
    knowledge = Knowledge.of(recorder, allies)

    assert [] == leaks(knowledge)
    assert [frozenset(exchange.included) - {*allies}] == open_sets(knowledge)


# -- controls --------------------------------------------------------------------------------------


def test_control_one_more_colluding_gateway_opens_single_inputs():
    _, recorder = overheard(Parties(4))
    found = leaks(Knowledge.of(recorder, ["g0", "g1"]))

    assert {frozenset({"g2"}), frozenset({"g3"})} == {leak.gateways for leak in found}
    assert "round 1: g2: nobody has answered for this set" == str(found[0])


@pytest.mark.parametrize("scheme", SCHEMES, ids=IDS)
def test_control_the_last_honest_gateway_stands_alone(scheme):
    _, recorder = overheard(Parties(4, scheme))
    [leak] = leaks(Knowledge.of(recorder, ["g0", "g1", "g2"]))

    assert ({"g3"}, "an input of its own") == (leak.gateways, leak.reason)


def again_without(parties, absent, *, forgetful):
    """A round, and "it failed, once more" without one gateway; both are heard."""
    recorder = Recorder()
    overheard(parties, recorder=recorder)
    if forgetful:
        parties.journals = {name: MemoryJournal() for name in parties.ids}
    overheard(parties, recorder=recorder, name="again", vanish={absent: 0})
    return leaks(Knowledge.of(recorder, ()))


@pytest.mark.parametrize("scheme", SCHEMES, ids=IDS)
def test_a_round_once_more_opens_nothing_more(scheme):
    assert [] == again_without(Parties(4, scheme), "g1", forgetful=False)


@pytest.mark.parametrize("scheme", SCHEMES, ids=IDS)
def test_control_with_journals_rolled_back_the_difference_of_two_sums_opens(scheme):
    found = again_without(Parties(4, scheme), "g1", forgetful=True)

    assert found
    if scheme.name == "masks":  # in additive schemes a gateway has another key in each session
        assert frozenset({"g1"}) in {leak.gateways for leak in found}


def test_two_rounds_are_two_sums():
    parties, recorder = Parties(4), Recorder()
    overheard(parties, recorder=recorder)
    overheard(parties, recorder=recorder, number=2, name="next")
    knowledge = Knowledge.of(recorder, ["g3"])

    assert [] == leaks(knowledge)
    assert 2 == len(knowledge.open())


def test_an_ear_takes_no_notice_of_what_is_no_frame():
    recorder = Recorder()
    recorder.down("g0", b"no frame")

    assert [] == recorder.lines()


def test_frames_that_are_repeated_say_nothing_new():
    recorder, parties = Recorder(), Parties(4)
    hook = recorder.around(lambda frame: [frame.data] * (1 + (wire.open(frame.data).type < 60)))
    exchange = Exchange(parties, passes=hook)
    recorder.play = exchange
    exchange.play()

    assert [] == leaks(Knowledge.of(recorder, ["g2"]))
    assert "sum" == exchange.verdict.outcome


# -- lying servers: the messages say what the model says -------------------------------------------


class Staged:
    """A strategy played to its end with real clients, and what the server has heard then."""

    def __init__(self, questions, shown, allies, quorum):
        self.questions, self.allies, self.quorum = questions, allies, quorum
        self.views = {i: view for i, view in enumerate(shown) if view is not None}
        self.clients = {i: questions.client(i) for i in self.views}
        self.headers, self.signed, self.recorder = {}, {}, Recorder()

    def ask(self, i, step, request):
        session, client = self.questions.params.session, self.clients[i]
        self.recorder.add_request(session, str(i), request)
        try:
            signed = client.receive(request)
        except SecAggError:
            return None
        self.recorder.add_answer(session, str(i), step, signed)
        return signed

    def play(self):
        for i, view in self.views.items():
            self.ask(i, "advertise_keys", self.questions.announce)
            self.ask(i, "share_keys", self.questions.keys(i, view.h0))
        for i in self.views:
            self.upload(i)
        self.signed = {i: view for i, view in self.views.items() if view.u3 and self.sign(i, view)}
        for i, view in self.signed.items():
            self.unmask(i, view)
        for i in self.allies:
            for face in (0, 1):  # of those with one face the second is never shown
                tell(self.recorder, self.questions, i, face)
        return self.recorder

    def upload(self, i):
        view, near = self.views[i], self.questions.neighbours[i]
        others = (j for j in near & view.u2 if j in self.views)
        closed = {j for j in others if self.views[j].h0 != view.h0}
        question = Upload(*asked(view), near & view.u2 - closed)
        self.headers[i] = self.ask(i, "masked_input", self.questions.request(i, question))
        for frame in self.clients[i].upload(lambda: zeros, MODEL):
            self.recorder.up(str(i), frame)

    def sign(self, i, view):
        make, names = self.questions.header, self.questions.identities
        near = sorted(self.questions.neighbours[i] & view.u3)
        headers = (self.headers.get(j) or make(names[j], j, asked(view)) for j in near)
        bits = self.questions.cohort.bits(view.u3)
        return self.ask(i, "consistency", ConsistencyRequest(included=bits, headers=tuple(headers)))

    def unmask(self, i, view):
        same = {j for j, other in self.signed.items() if other == view}
        signers = same | self.allies & view.u3
        if len(signers) < self.quorum:
            return
        keys = {j: self.questions.identities[j] for j in sorted(signers)}
        certificate = self.questions.certificate(view, keys)
        self.ask(i, "unmasking", UnmaskingRequest(certificate=certificate))


def tell(recorder, questions, ally, face):
    client = questions.client(ally, face)
    client.receive(questions.announce)
    recorder.give_keys(str(ally), [client._secrets[name].reveal() for name in ("channel", "mask")])


def agree(limits, strategies, **options):
    """Model and messages on the same strategies: how many open something, how many leak."""
    rules, opening, leaking = Rules(limits), 0, 0
    for shown, allies in strategies:
        questions = Questions(limits, allies, **options)
        recorder = Staged(questions, shown, allies, limits.quorum).play()
        knowledge = Knowledge.of(recorder, map(str, allies))
        verdict = judge(rules, shown, allies)
        sums = {frozenset(map(str, members)) for members in verdict.sums}

        assert sums == set(open_sets(knowledge)), shown
        assert bool(leaks(knowledge)) >= verdict.leaks, shown
        opening += bool(sums)
        leaking += verdict.leaks
    return opening, leaking


def some(rules, worlds, count):
    """Of those strategies in which somebody may answer at all, and of all."""
    strategies = list(every_strategy(rules, worlds))
    draw = dice("some", rules)
    opening = [each for each in strategies if judge(rules, *each).sums]
    return draw.sample(opening, count) + draw.sample(strategies, count)


def test_messages_say_what_the_model_says():
    limits = derive(4)
    opening, leaking = agree(limits, some(Rules(limits), ((0, 0), (1, 0)), 12))

    assert opening >= 12
    assert 0 == leaking


@pytest.mark.usefixtures("any_thresholds")
def test_control_messages_leak_where_the_model_does():
    good = derive(4)
    limits = replace(good, quorum=2, min_included=2, max_dropouts=2)
    strategies = some(Rules(limits), ((0, 0),), 12)
    opening, leaking = agree(limits, strategies, policy=Floorless(min_colluding=1))

    assert 0 < leaking < opening


# -- additive schemes ------------------------------------------------------------------------------


def recorded(stage, strategy, allies):
    """Real members answer, each for its set; the others say nothing."""
    members = Members(stage, allies)
    for i, honest in itertools.zip_longest(range(stage.n), strategy):
        client = members.dealt(i, upload=i in (honest or ()))
        if honest is not None:
            members.ask(client, i, "answer", stage.question(i, honest | allies))
    return members.knowledge


def additive_strategies(n, c, floor):
    """Sets of honest gateways that each may be asked for, or none."""
    honest = frozenset(range(n - c))
    sets = [None, *(each for each in subsets(honest) if len(each) + c >= max(floor, c + 1))]
    return itertools.product(sets, repeat=n - c)


@pytest.mark.parametrize("case", [(4, 1, 1), (4, 1, 0), (5, 2, 1)], ids=str)
def test_sums_of_shares_say_what_the_model_says(case):
    n, c, d = case
    limits = derive_committee(n, max_colluding=c, max_dropouts=d)
    opening, leaking = agree_on_keys(Stage(limits), limits.min_included, 25)

    assert opening > 0
    assert 0 == leaking


def agree_on_keys(stage, floor, count):
    """Model and messages on the same strategies: how many open something, how many leak."""
    n, c = stage.n, stage.limits.max_colluding
    allies, strategies = frozenset(range(n - c, n)), list(additive_strategies(n, c, floor))
    limits, opening, leaking = stage.limits, 0, 0
    sharing = Sharing(limits.committee, limits.packed, limits.share_threshold, allies)
    everybody = (frozenset(range(n - c)),) * (n - c)
    for strategy in [everybody, *dice("keys", n, c).sample(strategies, count)]:
        knowledge = recorded(stage, strategy, allies)
        verdict = sharing.judge([strategy], 2)

        assert bool(knowledge.open()) == verdict.opened[0], strategy
        assert bool(leaks(knowledge)) == verdict.leaks[0], strategy
        opening += bool(verdict.opened[0])
        leaking += bool(verdict.leaks[0])
    return opening, leaking


@pytest.mark.usefixtures("any_thresholds")
def test_control_a_lower_privacy_threshold_leaks():
    """t = 1 instead of floor((m + C) / 2) = 2."""
    limits = derive_committee(4, max_colluding=1, max_dropouts=1)
    stage = Stage(replace(limits, packed=2), policy=Floorless(min_colluding=1))
    _, leaking = agree_on_keys(stage, limits.min_included, 12)

    assert leaking > 0


@pytest.mark.usefixtures("any_thresholds")
def test_control_without_a_floor_one_gateway_is_opened():
    limits = derive_committee(4, max_colluding=1, max_dropouts=1)
    stage = Stage(replace(limits, min_included=1, quorum=1), policy=Floorless(min_colluding=1))
    [leak] = leaks(recorded(stage, (frozenset({0}),) * 3, {3}))

    assert ({"0"}, "an input of its own") == (leak.gateways, leak.reason)


@pytest.mark.usefixtures("any_thresholds")
def test_control_without_a_floor_three_sets_leak():
    """A, B and A + B, one member asked for each."""
    limits = derive_committee(4, max_colluding=1, max_dropouts=1)
    stage = Stage(replace(limits, min_included=1, quorum=1), policy=Floorless(min_colluding=1))
    strategy = (frozenset({0}), frozenset({1}), frozenset({0, 1}))

    assert leaks(recorded(stage, strategy, {3}))


# -- equations -------------------------------------------------------------------------------------


def unknown(name):
    return Unknown((name,))


def test_elimination_leaves_what_is_free_of_unknowns():
    one, two = Input(1, "a"), Input(1, "b")
    rows = [{one: 1, unknown("m"): 1}, {two: 1, unknown("m"): -1}, {one: 1, unknown("n"): 1}]
    [left] = basis(without(rows, Unknown), Input)

    assert {one: 1, two: 1} == left


def test_an_unknown_in_every_row_with_weights_of_its_own_leaves_their_ratio():
    one, two = Input(1, "a"), Input(1, "b")
    [left] = basis(without([{one: 1, unknown("m"): 2}, {two: 1, unknown("m"): 6}], Unknown), Input)

    # three times the first less the second
    assert 0 == (left[one] + 3 * left[two]) % 65521


def test_a_basis_names_each_input_once():
    one, two = Input(1, "a"), Input(1, "b")
    found = basis([{one: 1, two: 1}, {one: 2, two: 2}, {one: 1, two: 2}], Input)

    assert [{one: 1}, {two: 1}] == sorted(found, key=repr)
