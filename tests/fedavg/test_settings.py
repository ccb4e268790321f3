"""What is refused before anything is trained, and what is said of dropouts."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest

from fedavg.gateway import Gateway
from fedavg.prepared import prepare
from fedavg.settings import Settings
from fedavg.tasks import TASKS
from secagg.errors import ConfigurationError
from secagg.thresholds import derive, derive_committee


@pytest.fixture
def untrained(monkeypatch):
    def train(*_):
        raise AssertionError("a gateway trains")

    monkeypatch.setattr(Gateway, "train", train)


REFUSED = [
    ({"task": "chess"}, f"task 'chess' is unknown: use {', '.join(TASKS)}"),
    ({"gateways": 0}, "0 gateways: task digits takes 1 to 100"),
    ({"gateways": 101}, "101 gateways: task digits takes 1 to 100"),
    ({"task": "threshold", "gateways": 2001}, "2001 gateways: task threshold takes 1 to 2000"),
    ({"task": "cancer", "gateways": 31}, "31 gateways: task cancer takes 1 to 30"),
    ({"gateways": 2}, "2 gateways: it takes 3 or more"),
    ({"gateways": 5.0}, "gateways is 5.0: use a whole number"),
    ({"rounds": 0}, "rounds 0: use a whole number, 1 to 10000"),
    ({"rounds": 10_001}, "rounds 10001: use a whole number"),
    ({"rounds": True}, "rounds is True: use a whole number"),
    ({"rounds": None}, "rounds is None: use a whole number"),
    ({"seed": -1}, "seed -1: use 0 to 2147483647"),
    ({"seed": 2**31}, "seed 2147483648: use 0 to 2147483647"),
    ({"scheme": "hope"}, "scheme 'hope': use one of masks, lattice, ckks, "),
    ({"loss": "bce"}, "loss bce: task digits takes cross-entropy, mse"),
    ({"task": "digits-cnn", "loss": "bce"}, "task digits-cnn takes cross-entropy, mse"),
    ({"rate": 0.0}, "rate 0.0: use a number above 0, at most 100"),
    ({"split": "sorted"}, "split 'sorted': use one of iid, dirichlet"),
    ({"task": "threshold", "split": "dirichlet"}, "split dirichlet: task threshold takes iid"),
    ({"split": "dirichlet", "alpha": 0.0}, "alpha 0.0: use a finite number above 0"),
    ({"alpha": 3.0}, "alpha 3: split iid has none: use split dirichlet"),
    ({"scheme": "plain", "clip": 1.0, "max_colluding": 1}, "has no clip, max_colluding"),
    ({"scheme": "plain", "max_dropouts": 0, "clipping": "saturate"}, "no clipping, max_dropouts"),
    ({"clipping": "cut"}, "clipping 'cut': use one of error, saturate"),
    ({"alpha": -1.0}, "alpha -1.0: use a finite number above 0"),
    ({"alpha": math.nan}, "alpha nan: use a finite number above 0"),
    ({"alpha": math.inf}, "alpha inf: use a finite number above 0"),
    ({"server": "sgd"}, "server 'sgd': use one of fedavg, fedavgm, fedadam, fedyogi"),
    ({"server_rate": -1.0}, "server rate -1.0: use a number above 0"),
    (
        {"overrides": {"g11": {"rate": 0.1}, "x": {}}},
        "overrides of unknown gateways g11, x: use g01 to g10",
    ),
    (
        {"overrides": {"g01": {"optimiser": "adam", "momentum": 0.5}}},
        "gateway g01: adam has no momentum: use sgd",
    ),
    (
        {"optimiser": "adagrad", "overrides": {"g01": {"momentum": 0.5}}},
        "gateway g01: adagrad has no momentum: use sgd",
    ),
    (
        {"overrides": {"g01": {"loss": "mse"}}},
        "gateway g01: 'loss' cannot be overridden: use rate, ",
    ),
    ({"overrides": {"g02": {"rate": -1}}}, "gateway g02: rate -1: use a number above 0"),
    ({"overrides": {"g02": {"optimiser": "x"}}}, "gateway g02: optimiser 'x': use one of sgd"),
    ({"overrides": []}, "overrides is of type list: it takes a mapping of mappings by name"),
    ({"overrides": {"g02": 3}}, "overrides of 'g02' is 3: it takes a mapping"),
    ({"data": Path()}, "data: task digits reads no files; cancer does"),
    ({"clip": -1.0}, "clip"),
    ({"clip": math.nan}, "clip"),
    ({"max_colluding": 9}, "Nearest that do: n=10 C=8"),
    ({"max_dropouts": 8}, "Nearest"),
    ({"max_dropouts": "2"}, "max_dropouts is '2': use a whole number"),
    ({"vanish": 4}, "vanish = 4: use 0 to 3. 10 gateways with C = 3 survive D = 3"),
    ({"vanish": -1}, "vanish = -1: use 0 to 3"),
    ({"vanish": 3, "max_dropouts": 2}, "use 0 to 2. 10 gateways with C = 3 survive D = 2"),
    ({"vanish": 1, "gateways": 3}, "vanish = 1: use 0 to 0. Three gateways survive no dropout"),
    ({"vanish": 10, "scheme": "plain"}, "use 0 to 9. A mean is of one gateway or more"),
    ({"vanish": 4, "scheme": "plain", "sample": 4}, "use 0 to 3"),
    ({"sample": 0}, "a sample of 0 of 10: draw 1 to 10"),
    ({"sample": 11}, "a sample of 11 of 10: draw 1 to 10"),
    ({"sample": 11, "scheme": "plain"}, "draw 1 to 10"),
    ({"sample": 2}, "a sample of 2 of 10 cannot work with C = 3: draw 5 or more, or set a lower C"),
    ({"sample": 2, "max_colluding": 1}, "cannot work with C = 1: draw 3 or more"),
    ({"sample": 6, "max_dropouts": 2}, "with C = 3, D = 2: draw 8 or more"),
    ({"sample": 8, "max_colluding": 9}, "8 gateways, 9 colluding"),
    ({"sample": 8, "max_colluding": 0}, "8 gateways, 0 colluding"),
    ({"sample": 5, "vanish": 1}, "use 0 to 0. Five gateways survive no dropout"),
    ({"scheme": "lattice", "vanish": 4}, "use 0 to 3. 10 gateways with C = 3 survive D = 3"),
    ({"scheme": "lattice", "gateways": 16, "vanish": 5}, "16 gateways with C = 5 survive D = 4"),
    ({"scheme": "lattice", "max_colluding": 9}, "Nearest that do: n=10 C=8"),
    ({"scheme": "lattice", "sample": 2}, "a sample of 2 of 10 cannot work with C = 3: draw 5"),
    ({"scheme": "lattice", "gateways": 3, "vanish": 1}, "Three gateways survive no dropout"),
    ({"scheme": "ckks", "gateways": 2}, "2 gateways: it takes 3 or more"),
    ({"scheme": "auto", "vanish": 4}, "use 0 to 3"),
    ({"scheme": "auto", "gateways": 64, "vanish": 18}, "64 gateways with C = 21 survive D = 17"),
    ({"scheme": "auto", "sample": 2}, "draw 5 or more"),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED)
def test_what_cannot_work_is_refused_before_training(settings, said, untrained):
    with pytest.raises(ConfigurationError) as refused:
        prepare(Settings(**settings))

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_works_is_not_refused(untrained):
    prepare(Settings())
    prepare(Settings(sample=5))
    prepare(Settings(sample=1, scheme="plain"))
    prepare(Settings(task="cancer"))
    prepare(Settings(scheme="lattice", gateways=64, vanish=17))
    prepare(Settings(scheme="ckks", gateways=64, vanish=17))
    prepare(Settings(scheme="auto"))


def test_a_check_says_what_rounds_will_need(untrained):
    plain, masks, lattice, ckks, auto = (
        prepare(Settings(gateways=40, scheme=each)).plan
        for each in ("plain", "masks", "lattice", "ckks", "auto")
    )

    assert plain is None
    assert ("masks", "") == (masks.scheme, masks.reason)
    assert ("lattice", "") == (lattice.scheme, lattice.reason)
    assert ("ckks", "", False) == (ckks.scheme, ckks.reason, ckks.exact)
    assert "lattice" == auto.scheme
    assert "40 gateways" in auto.reason
    assert derive_committee(40) == lattice.thresholds == ckks.thresholds == auto.thresholds


@pytest.mark.parametrize(
    ("settings", "scheme"),
    [
        ({}, "masks"),
        ({"gateways": 40}, "lattice"),
        ({"gateways": 40, "sample": 20}, "masks"),
        ({"gateways": 40, "max_dropouts": 0}, "masks"),
    ],
)
def test_auto_chooses_by_the_gateways_that_are_asked_and_may_vanish(settings, scheme):
    assert scheme == prepare(Settings(scheme="auto", **settings)).plan.scheme


def test_the_smallest_sample_that_is_named_is_the_smallest():
    def works(asked, colluding, dropouts):
        try:
            return derive(asked, max_colluding=colluding, max_dropouts=dropouts)
        except ConfigurationError:
            return None

    for colluding, dropouts in product(range(1, 9), [None, *range(5)]):
        settings = Settings(
            "threshold", gateways=60, sample=1, max_colluding=colluding, max_dropouts=dropouts
        )
        with pytest.raises(ConfigurationError, match=r"draw \d+ or more") as refused:
            prepare(settings)
        least = int(str(refused.value).split("draw ")[1].split()[0])

        assert least == next(n for n in range(60) if works(n, colluding, dropouts))


SILENT = "if one falls silent, the round ends without a mean; "


@pytest.mark.parametrize(
    ("settings", "begin", "end"),
    [
        ({"gateways": 3}, "Three {} (C = 1, D = 0)", "with C = 1, four survive one."),
        ({"gateways": 12, "sample": 5}, "Five {} (C = 3, D = 0)", "with C = 3, six survive one."),
        (
            {"max_dropouts": 0},
            "10 {} (C = 3, D = 0)",
            "they could survive three, but max_dropouts is 0.",
        ),
    ],
)
def test_no_dropout_is_said_in_words(settings, begin, end):
    said = f"{begin.format('gateways survive no dropout')}: {SILENT}{end}"

    assert said == prepare(Settings(**settings)).warning


@pytest.mark.parametrize("settings", [{"gateways": 4}, {"gateways": 3, "scheme": "plain"}])
def test_nothing_is_said_where_one_may_vanish(settings):
    assert "" == prepare(Settings(**settings)).warning


def test_what_survives_one_more_is_true():
    for colluding in range(1, 20):
        assert 0 == derive(colluding + 2, max_colluding=colluding).max_dropouts
        assert derive(colluding + 3, max_colluding=colluding).max_dropouts >= 1
