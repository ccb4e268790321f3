"""The model that an update is made on: what of it is compared, and that it stays what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg import Ckks, Completed, Lattice, Masks, SecureAverage
from secagg.average.everybody import Everybody
from secagg.errors import EncodingError, LocalProtocolError, ModelMismatch
from secagg.pytree import bit_sums, model_hash
from secagg.session import update
from secagg.session.loopback import Loopback
from secagg.session.update import Model
from secagg.workers import SERIAL

torch = pytest.importorskip("torch")
IDS = range(4)
Tree = dict[str, Any]


def play(average: SecureAverage, base: Tree, prepare: Callable[[Any, int], Any]) -> Any:
    """A session over separate parties: `prepare` makes the frames of a gateway's upload."""
    settings = average.params(IDS, base, round=1, base=base)
    server, clients = Everybody(SERIAL).sessions(settings)
    Loopback(server, clients, lambda name: lambda: prepare(clients[name], name)).run()
    return server.result.mean(base, base)


@pytest.mark.parametrize("kind", [dict, Model])
def test_every_gateway_may_keep_a_head_of_its_own(kind: Any) -> None:
    def prepare(client: Any, name: int) -> Any:
        own = {"body": np.zeros(2), "head": np.full(name + 1, 9.0) if name else None}
        update = own | {"body": np.full(2, 0.1 * name)}
        if kind is Model:
            own = Model(own, select="body")
        return client.upload(update, base=own, select="body")

    base = {"body": np.zeros(2), "head": np.full(2, 5.0)}
    mean = play(SecureAverage(clip=1.0, select="body"), base, prepare)

    assert mean["body"] == pytest.approx(0.15, abs=1e-3)
    assert mean["head"] is base["head"]


# -- training in place -----------------------------------------------------------------------------

FLAT = np.zeros(6, np.float32)
SHOWN = FLAT[:3]
SHOWN.flags.writeable = False
FROZEN = np.zeros(3, np.float32)
FROZEN.flags.writeable = False


@pytest.mark.parametrize(
    ("base", "update"),
    [
        (FLAT[:3], FLAT[:3]),
        (FLAT[:3], FLAT[2:5]),
        (FLAT[::2], FLAT[2:5]),
        (FLAT[:3], FLAT[2::-1]),
        (SHOWN, FLAT[:3]),
        (FLAT[:3], torch.from_numpy(FLAT)[:3]),
        (torch.from_numpy(FLAT)[1:4], torch.from_numpy(FLAT).view(2, 3)[0]),
    ],
)
def test_an_update_in_the_memory_of_its_base_is_refused(base: Any, update: Any) -> None:
    own = np.zeros(3, np.float32)
    for one, other in ((base, update), (update, base)):
        with pytest.raises(EncodingError, match=r"gateway 3: .*share memory in w: .*copy of the"):
            SecureAverage(clip=1.0).run(
                {i: {"w": other if i == 3 else own} for i in IDS}, base={"w": one}
            )


@pytest.mark.parametrize(
    ("base", "update"),
    [
        (FLAT[:3], FLAT[3:]),
        (FROZEN, FROZEN),
        (torch.from_numpy(FLAT)[:3], torch.from_numpy(FLAT)[3:]),
        (np.zeros(0), np.zeros(0)),
    ],
)
def test_neighbours_in_memory_and_what_nobody_writes_to_are_apart(base: Any, update: Any) -> None:
    more = {"v": np.ones(1)}
    result = SecureAverage(clip=1.0).run(
        dict.fromkeys(IDS, {"w": update} | more), base={"w": base, "v": np.zeros(1)}
    )

    assert not result.mean["w"].any()


def test_training_in_place_on_the_base_is_no_mean() -> None:
    """FederatedScope#664: state_dict() gives references, and every difference was 0."""
    model = torch.nn.Linear(3, 1)
    start = {key: leaf.clone() for key, leaf in model.state_dict().items()}

    def site(step: float, result: Callable[[Tree], Any]) -> Callable[[], Any]:
        def train() -> Any:
            model.load_state_dict(start)
            with torch.no_grad():
                model.weight += step
            return result(model.state_dict())

        return train

    average = SecureAverage(clip=1.0)
    for copied, error in ((dict, EncodingError), (copy.deepcopy, ModelMismatch)):
        updates = {i: site(0.1 * (i + 1), copied) for i in IDS}
        with pytest.raises(error, match=r"copy of (the|it)"):
            average.run(updates, base=model.state_dict())
        mean = average.run(updates, base=start).mean

        assert float((mean["weight"] - start["weight"]).mean()) == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(
    ("scheme", "change", "kind"),
    [
        (Masks(), "nothing", dict),
        (Masks(), "value", Model),
        (Masks(), "value", dict),
        (Lattice(), "value", dict),
        (Ckks(), "value", dict),
    ],
)
def test_a_base_that_changes_during_an_upload_completes_nothing(
    scheme: Any, change: str, kind: Any
) -> None:
    def prepare(client: Any, name: int) -> Any:
        own = {"w": np.zeros(2)}
        base = own if kind is dict else Model(own)
        frames = client.upload({"w": np.full(2, 0.1 * name)}, base=base)
        for index, frame in enumerate(frames):
            if name == 2 and index == 0:
                own["w"][-1] += change == "value"
            yield frame

    def guarded(client: Any, name: int) -> Any:
        try:
            yield from prepare(client, name)
        except ModelMismatch as error:
            told.append((name, str(error)))
            with pytest.raises(LocalProtocolError):
                client.upload({"w": np.zeros(2)})

    told: list[tuple[int, str]] = []
    base = {"w": np.zeros(2)}
    mean = play(SecureAverage(clip=1.0, scheme=scheme), base, guarded)
    included = [i for i in IDS if change == "nothing" or i != 2]

    assert mean["w"] == pytest.approx(0.1 * np.mean(included), abs=2e-3)
    assert [name for name, _ in told] == [i for i in IDS if i not in included]
    assert all("`base` has changed" in text for _, text in told)


def test_a_base_that_changes_after_the_last_upload_is_not_added_to() -> None:
    def on_event(event: Any) -> None:
        base["w"][1] += isinstance(event, Completed)

    base = {"w": np.zeros(2)}
    with pytest.raises(ModelMismatch, match="`base` has changed"):
        SecureAverage(clip=1.0, on_event=on_event).run(
            {i: {"w": np.ones(2)} for i in IDS}, base=base
        )


def test_a_round_hashes_its_base_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(update, "model_hash", lambda *args: seen.append(1) or model_hash(*args))
    trees, base = {i: {"w": np.full(2, 0.1 * i)} for i in IDS}, {"w": np.zeros(2)}
    SecureAverage(clip=1.0).run(trees, base=base)

    assert 1 == len(seen)
    SecureAverage(clip=1.0).run(trees, base=Model(base))
    assert 2 == len(seen)
    play(SecureAverage(clip=1.0), base, lambda c, i: c.upload(trees[i], base=Model(base)))
    assert 2 + 2 + len(IDS) == len(seen)  # of the settings, and of the mean


@pytest.mark.parametrize("index", [0, 511, 700, 262_143, 262_144, 600_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, bool])
def test_the_sums_see_every_place_and_opposite_steps(index: int, dtype: Any) -> None:
    before = np.ones(600_001, dtype)
    after = before.copy()
    after[index] = 0
    steps = np.arange(600_001) % 2 * 2 - 1  # of counters, say
    trees = [before, after, before + steps[0], before + np.roll(steps, index)]
    trees = [each.astype(dtype) for each in trees] + [before[::2], before[:0]]

    assert len({each.tobytes() for each in trees}) == len({bit_sums({"w": w}) for w in trees})


def test_another_model_is_named_before_what_follows_from_it() -> None:
    """A wrong base is beyond every clip; keys come first, as they tell of a wrapped module."""

    def prepare(client: Any, name: int) -> Any:
        if name == 1:
            trees = {"w": np.full(2, 9.0)}, {"v": np.zeros(2)}
            with pytest.raises(EncodingError, match="the base lacks keys: w"):
                client.upload(trees[0], base=trees[1])
            with pytest.raises(ModelMismatch, match="copied before it was trained"):
                client.upload(trees[0], base={"w": np.ones(2)})
            return iter(())
        return client.upload({"w": np.full(2, 0.1)}, base={"w": np.zeros(2)})

    mean = play(SecureAverage(clip=1.0), {"w": np.zeros(2)}, prepare)

    assert mean["w"] == pytest.approx(0.1, abs=1e-3)


def test_the_mean_is_added_to_the_announced_model_or_to_none() -> None:
    def result(model: Any, *, retry: bool = False) -> Any:
        settings = SecureAverage(clip=1.0).params(IDS, base, round=2, base=model, retry=retry)
        server, clients = Everybody(SERIAL).sessions(settings)

        def prepare(name: int) -> Any:
            return lambda: clients[name].upload({"w": np.full(2, 0.5)}, base=model)

        Loopback(server, clients, prepare).run()
        return server.result

    base = {"w": np.full(2, 0.4)}
    same, other = ({"w": np.full(2, value)} for value in (0.4, 0.3))
    for retry in (False, True):
        on_model = result(base, retry=retry)
        for good in (same, Model(same)):
            assert on_model.mean(same, good)["w"] == pytest.approx(0.5, abs=1e-3)
        for bad in (None, other, Model(other)):
            with pytest.raises(ModelMismatch, match="`base` is not the model"):
                on_model.mean(same, bad)
    hashed = Model({"w": np.full(2, 0.4)})
    hashed.tree["w"][1] = 0.3
    with pytest.raises(ModelMismatch, match="`base` has changed"):
        on_model.mean(same, hashed)
    alone = result(None)
    assert alone.mean(same)["w"] == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(ModelMismatch, match="`base` is not the model"):
        alone.mean(same, same)
