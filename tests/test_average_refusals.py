"""Bad input to the recipe: a named error that says what to do, and the next round is good."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from secagg import Ckks, SecureAverage
from secagg.errors import ConfigurationError, EncodingError
from secagg.thresholds import MAX_GATEWAYS

NAN, INF = float("nan"), float("inf")
SECRET = 0.7182818


def tree(value: float = 0.5, dtype: Any = np.float32) -> dict[str, Any]:
    return {"w": np.full((2, 3), value, dtype), "n": np.array([3])}


GOOD = {name: tree() for name in "abcd"}


def changed(**leaves: Any) -> dict[str, Any]:
    """Updates of which that of "c" is different."""
    return GOOD | {"c": {key: v for key, v in (tree() | leaves).items() if v is not None}}


def one_weight(weight: Any) -> dict[str, Any]:
    return {"weights": dict.fromkeys(GOOD, 1.0) | {"c": weight}}


def one_metric(value: Any) -> dict[str, Any]:
    return {"metrics": {name: {"loss": 1.0} for name in GOOD} | {"c": value}}


LATE = np.full((2, 3), 0.5, np.float32)
LATE[1, 2] = NAN

UPDATES: dict[str, tuple[dict[Any, Any], str]] = {
    "NaN": (changed(w=LATE), "'c': 1 coordinates are NaN.*'w'"),
    "infinity": (
        changed(w=np.full((2, 3), INF, np.float32)),
        "'c': 6 coordinates are NaN or infinite.*'w'",
    ),
    "out of clip": (
        changed(w=np.full((2, 3), -3.0, np.float32)),
        "'c': 6 coordinates are beyond their clip: in 'w'.*saturate",
    ),
    "wrong shape": (
        changed(w=np.zeros((3, 2), np.float32)),
        r"'c': 'w' of the update is float32\[3, 2\], the model has float32\[2, 3\]",
    ),
    "wrong dtype": (changed(w=np.zeros((2, 3))), r"'c': 'w' of the update is float64\[2, 3\]"),
    "missing key": (changed(n=None), "'c': the update lacks keys: n"),
    "extra key": (changed(m=np.zeros(2)), "'c': the update has extra keys: m"),
    "mixed structures": (
        GOOD | {"c": [np.zeros((2, 3), np.float32), np.array([3])]},
        "'c': the update lacks keys: n, w",
    ),
    "an empty update": (GOOD | {"c": {}}, "'c': the tree has no arra"),
    "no update": (GOOD | {"c": None}, "'c'.*NoneType"),
    "a function that gives nothing": (GOOD | {"c": lambda: None}, "'c'.*NoneType"),
    "a number": (
        GOOD | {"c": {"w": 1.0, "n": 3}},
        r"'c': 'w' of the update is float64\[\], the model has",
    ),
    "objects": (changed(w=np.array([[None] * 3] * 2)), "'c': 'w': dtype object is not averaged"),
    "complex numbers": (
        {name: {"w": np.zeros(2, complex)} for name in GOOD},
        "'w': dtype complex128 is not averaged",
    ),
    "arrays without elements": ({name: {"w": np.zeros(0)} for name in GOOD}, "nothing to average"),
}
ENCODED: dict[str, tuple[dict[str, Any], str]] = {
    "another base": (
        {"base": {"w": np.zeros((2, 3), np.float32)}},
        "'a': the update has extra keys: n",
    ),
    "one array as base": ({"base": np.zeros(3)}, "the update lacks keys: the tree"),
    "an empty base": ({"base": {}}, "no arrays"),
    "weight zero": (one_weight(0), "'c': the weight is no number above 0"),
    "negative weight": (one_weight(-1.0), "'c': the weight is no number above 0"),
    "weight too large": (one_weight(4.5), "'c': the weight is above max_weight: pass max_weight="),
    "weight NaN": (one_weight(NAN), "'c': the weight is no number above 0"),
    "infinite weight": (one_weight(INF), "'c': the weight is above max_weight"),
    "tiny weight": (
        one_weight(1e-9),
        "'c': .*rounds to 0: leave the gateway out, or lower max",
    ),
    "no number as weight": (one_weight("many"), "'c': the weight is a str, no number"),
    "no weight": (one_weight(None), "'c': the weight is a NoneType"),
    "complex weight": (one_weight(1j), "'c': the weight is a complex"),
    "missing weights": (
        {"weights": {"a": 1.0, "b": 1.0}},
        r"weights lack gateways: \['c', 'd'\]",
    ),
    "missing metrics": ({"metrics": {"a": {"loss": 1.0}}}, "metrics lack gateways"),
    "other metrics": (one_metric({"acc": 1.0}), "'c': metrics are .'acc'"),
    "no table of metrics": (
        {"metrics": dict.fromkeys(GOOD, SECRET)},
        "metrics of a gateway are a float: use a mapping by name",
    ),
    "metrics of one that are no table": (one_metric(SECRET), "'c': metrics are a float: use a map"),
    "other metrics of the first": (
        {"metrics": {n: {"acc" if n == "a" else "loss": 1.0} for n in GOOD}},
        "'a': metrics are .'acc'.: this round sums .'loss'.",
    ),
    "a first update that cannot be averaged": (
        {"updates": GOOD | {"a": {"w": np.array(["x"])}}},
        "'a': 'w': dtype",
    ),
    "no number as metric": (one_metric({"loss": "low"}), "'loss' is a str: use a n"),
}
CONFIGURED: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"updates": {}}, "takes 3 gateways or more"),
    "one gateway": ({"updates": {"a": tree()}}, "1 gateways: it takes 3"),
    "two gateways": (
        {"updates": {name: tree() for name in "ab"}},
        "2 gateways: it takes 3 or more",
    ),
    "too many gateways": (
        {"updates": {i: tree() for i in range(MAX_GATEWAYS + 1)}},
        "at most 2048",
    ),
    "names that fill a request": (
        {"updates": {name: {"w" * 2**20: np.zeros(1)} for name in "abc"}},
        "average fewer, larger arrays",
    ),
    "an integer too large as id": (
        {"updates": GOOD | {2**70: tree()}},
        "whole number of 64 bits",
    ),
    "a bool as id": ({"updates": GOOD | {True: tree()}}, "a gateway id is a bool: use str or int"),
    "a half character as id": ({"updates": GOOD | {"\ud800": tree()}}, "printable text"),
    "a tuple as id": ({"updates": GOOD | {("a", 1): tree()}}, "use str or int"),
    "a float as id": ({"updates": GOOD | {1.0: tree()}}, "a gateway id is a float: use str or int"),
    "a list of updates": (
        {"updates": [*GOOD.values()]},
        r"updates is a list: pass a mapping by gateway, such as dict\(enumerate\(updates\)\)",
    ),
    "a generator of updates": ({"updates": iter(GOOD.values())}, "updates is a .*: pass a map"),
    "no updates": ({"updates": None}, "updates is a NoneType: pass a mapping"),
    "a tree as updates": ({"updates": np.full(3, SECRET)}, "updates is a ndarray: pass a mapping"),
    "a list of weights": ({"weights": [1, 2, 3, SECRET]}, "weights is a list: pass a mapping"),
    "a list of metrics": ({"metrics": [{"loss": SECRET}] * 4}, "metrics is a list: pass a map"),
    "weights of a larger cohort": (
        {"weights": dict.fromkeys("abcdef", 1.0)},
        r"weights have gateways without an update: \['e', 'f'\]",
    ),
    "metrics of a larger cohort": (
        {"metrics": {name: {"loss": SECRET} for name in "abcdz"}},
        r"metrics have gateways without an update: \['z'\]",
    ),
    "an array as phase": ({"vanish": {"a": np.full(2, SECRET)}}, "'a': of type ndarray: use an id"),
    "a list that vanishes": ({"vanish": ["a"]}, "vanish is a list: pass the phase by gateway"),
    "a number as seed": ({"rounding_seed": 42}, "rounding_seed is a int: pass bytes, such as"),
    "a seed as text": ({"rounding_seed": "42"}, "rounding_seed is a str: pass bytes"),
    "an unknown phase": ({"vanish": {"a": "lunch"}}, "'a': 'lunch'.*one of .*'unmasking'"),
    "an unknown gateway vanishes": (
        {"vanish": {"z": "unmasking"}},
        "'z'.*use an id of updates",
    ),
}
ENCODED |= {case: ({"updates": updates}, words) for case, (updates, words) in UPDATES.items()}

AVERAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no clip": ({"clip": {}}, r"no clip for 'w': add its pattern, or '\*'"),
    "a clip for nothing": ({"clip": {"v": 1.0, "*": 1.0}}, "clip pattern 'v' decides no key"),
    "precision out of reach": ({"precision": 1e-30}, "nearest possible is"),
    "nothing selected": ({"select": "v*"}, "select matches no key of the tree, which has n, w"),
    "a pattern that selects nothing": ({"select": ["w", "v*"]}, "'v.'.*matches no key"),
    "C = 0": ({"max_colluding": 0}, "4 gateways, 0 colluding.*Nearest that do: n=4 C=1"),
    "C too large": ({"max_colluding": 3}, "cannot work.*Nearest that do"),
    "D too large": ({"max_dropouts": 2}, "2 vanishing.*Nearest that do"),
    "negative D": ({"max_dropouts": -1}, "-1 vanishing"),
    "integer bound without room": ({"integer_bound": 2**60}, "or lower max_weight"),
}


def average(**options: Any) -> SecureAverage:
    return SecureAverage(**({"clip": 2.0, "max_weight": 4} | options))


@pytest.mark.parametrize("case", [*ENCODED, *CONFIGURED])
def test_a_bad_run_is_refused_and_the_next_is_good(case: str) -> None:
    given, words = (ENCODED | CONFIGURED)[case]
    error = EncodingError if case in ENCODED else ConfigurationError
    object_under_test = average()
    object_under_test.run(GOOD)
    updates = {name: dict(each) for name, each in GOOD.items()}
    with pytest.raises(error, match=words) as caught:
        object_under_test.run(**{"updates": GOOD} | given)
    result = object_under_test.run(GOOD)

    assert isinstance(caught.value, ValueError)
    assert str(SECRET) not in str(caught.value)
    assert tuple(GOOD) == result.included
    assert np.abs(result.mean["w"] - 0.5).max() <= result.report.error_bound
    assert [3] == result.mean["n"].tolist()
    for name, each in GOOD.items():
        assert updates[name] == each or all(updates[name][k] is each[k] for k in each)


@pytest.mark.parametrize("case", AVERAGES)
def test_settings_that_cannot_work_say_which_would(case: str) -> None:
    options, words = AVERAGES[case]
    metrics = {name: {"loss": 1.0, "acc": 0.5} for name in GOOD}
    with pytest.raises(ConfigurationError, match=words):
        average(**options).run(GOOD, metrics=metrics)
    with pytest.raises(ConfigurationError, match=words):
        average(**options).plan(tree(), 4, metrics=("loss", "acc"))


def test_an_error_of_the_callers_own_function_passes_through() -> None:
    object_under_test = average()

    def broken() -> dict[str, Any]:
        raise FileNotFoundError("the data set is gone")

    with pytest.raises(FileNotFoundError, match="the data set is gone"):
        object_under_test.run(GOOD | {"c": broken})
    assert tuple(GOOD) == object_under_test.run(GOOD).included


def test_bad_rounds_cost_their_number_only() -> None:
    object_under_test = average()
    for _ in range(3):
        with pytest.raises(EncodingError):
            object_under_test.run(changed(w=LATE))
    report = object_under_test.run(GOOD).report

    assert 4 == report.audit.announce.params.round
    assert 4 == len(report.roster.members)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"clip": "a"}, "clip is 'a': it takes a number"),
        ({"clip": None}, "clip is None: it takes a number"),
        ({"clip": True}, "clip is True: it takes a number"),
        ({"clip": {"w": "x"}}, "clip of 'w' is 'x': it takes a number"),
        ({"clip": 0}, "clip is 0.0: use"),
        ({"clip": {"w": 1.0, "v": -1.0}}, "clip of 'v' is -1.0: use"),
        ({"clip": NAN}, "clip is nan: use"),
        ({"clip": INF}, "clip is inf: use"),
        ({"clip": 10**400}, "clip is inf: use"),
        ({"clip": {3: 1.0}}, "a key of clip is 3: it takes a text"),
        ({"clip": {"w": np.full(2, SECRET)}}, "clip of 'w' is of type ndarray: it takes a number"),
        ({"max_weight": 0}, "max_weight is 0.0: use"),
        ({"max_weight": NAN}, "max_weight is nan: use"),
        ({"max_weight": 2.0**33}, "max_weight is 8589934592.0: use"),
        ({"precision": 0}, "precision is 0.0: use a positive number"),
        ({"precision": NAN}, "precision is nan: use"),
        ({"max_colluding": 1.5}, "max_colluding is 1.5: it takes a whole number"),
        ({"max_colluding": True}, "max_colluding is True: it takes a whole number"),
        ({"max_dropouts": "1"}, "max_dropouts is '1': it takes a whole number"),
        ({"integer_bound": NAN}, "integer_bound is nan: use 1 or more"),
        ({"integer_bound": -1}, "integer_bound is -1.0: use 1 or more"),
        ({"purpose": "Train!"}, "purpose is 'Train!': use a word"),
        ({"invalid": "skip"}, "invalid is 'skip': it takes 'raise' or 'drop'"),
        ({"on_event": 3}, "on_event is 3: it takes a function"),
        ({"clock": 3}, "clock is 3: it takes a function"),
        ({"max_weight": "x"}, "max_weight is 'x': it takes a number"),
        ({"precision": None}, "precision is None: it takes a number"),
        ({"clipping": "ignore"}, "clipping is 'ignore': it takes 'error' or"),
        ({"threads": 0}, "threads is 0: use 1 to"),
        ({"threads": 1.5}, "threads is 1.5: it takes a whole number"),
        ({"metric_bounds": {"loss": "x"}}, "metric_bounds of 'loss' is 'x': it takes a number"),
        ({"metric_bounds": {"acc": -1.0}}, "metric bound is -1.0: use"),
        ({"metric_bounds": {"loss": 0}}, "metric bound is 0.0: use"),
        ({"metric_bounds": {"acc": NAN}}, "metric bound is nan: use"),
        ({"metric_bounds": 3}, "metric_bounds is 3: it takes a mapping"),
        ({"select": 3}, "select is 3: use names or patterns of keys"),
        ({"select": ["w", 3]}, "use names or patterns of keys"),
        ({"select": [None]}, "use names or patterns of keys"),
        ({"scheme": "paillier"}, "scheme is 'paillier': use one of masks, lattice, ckks, auto"),
        ({"scheme": Ckks}, "use an object such as Masks"),
        ({"scheme": 42}, "use an object such as Masks(), Lattice(), Ckks(), its name, or 'auto'"),
    ],
)
def test_a_setting_that_never_works_is_refused_at_once(settings, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        SecureAverage(**{"clip": 1.0} | settings)

    assert str(SECRET) not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda a: a.plan(tree(), 10.0), "gateways is 10.0: it takes a whole number"),
        (lambda a: a.plan(tree(), True), "gateways is True: it takes a whole number"),
        (lambda a: a.policy(tree(), "4"), "gateways is '4': it takes a whole number"),
        (lambda a: a.plan(tree(), 4, "loss"), "metrics is 'loss': it takes a sequence of texts"),
        (lambda a: a.plan(tree(), 4, [3]), "metrics[0] is 3: it takes a text"),
        (lambda a: a.enroll(20), "gateways is 20: pass their ids, such as range(10)"),
        (lambda a: a.enroll("abc"), "gateways is 'abc': pass their ids"),
        (lambda a: a.enroll(np.array(3)), "gateways is of type ndarray: pass their ids"),
        (lambda a: a.enroll([None]), "gateways[0] is None: pass their ids"),
        (lambda a: a.params(7, tree(), round=1), "cohort is 7: pass their ids"),
        (lambda a: a.params("abc", tree(), round=1), "cohort is 'abc': pass their ids"),
        (lambda a: a.params([0, None], tree(), round=1), "cohort[1] is None: pass their ids"),
        (lambda a: a.params(range(4), tree(), round=1.5), "round is 1.5: it takes a whole number"),
    ],
)
def test_arguments_of_another_type_are_named(call, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        call(average())


def test_settings_ids_and_gateways_may_be_numbers_of_numpy():
    ids = np.random.default_rng(1).choice(50, 5, replace=False)
    given = {name: tree(0.25) for name in ids} | {np.str_("site"): tree(0.25)}
    object_under_test = average(
        clip={"*": np.float32(2)}, max_weight=np.int64(4), select={"w", "n"}
    )
    object_under_test.enroll(iter([*ids, "site"]))
    weights = dict.fromkeys([*map(int, ids), "site"], 2)
    result = object_under_test.run(given, weights, vanish={ids[0]: "masked_input"})
    settings = object_under_test.params(ids, tree(), round=np.int64(3))

    assert [*map(int, ids[1:]), "site"] == list(result.included)
    assert [int(ids[0])] == list(result.dropped)
    for name in (*result.included, *result.dropped, *settings.cohort):
        assert type(name) in {int, str}
    assert 0.25 == pytest.approx(result.mean["w"][0, 0], abs=result.report.error_bound)
    assert object_under_test.plan(tree(), np.int64(6)).thresholds == result.report.plan.thresholds


@pytest.mark.parametrize("name", ["masks", "lattice", "ckks", "auto"])
def test_a_scheme_has_a_name(name):
    plan = average(scheme=name).plan(tree(), 5)

    assert ("masks" if name == "auto" else name) == plan.scheme
