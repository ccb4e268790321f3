"""Public callables with good arguments, and what a right answer of each is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import secagg
from secagg import (
    Bounds,
    ClientSession,
    Federation,
    Identity,
    Member,
    MemoryJournal,
    Model,
    Policy,
    Roster,
    SecureAverage,
    ServerSession,
    SQLiteJournal,
)
from secagg.errors import EncodingError, SecAggError
from secagg.pages import round_page
from secagg.protocol.audit import verify_record
from secagg.protocol.audit_file import dump_record, dump_roster, load_record, load_roster
from secagg.pytree import flatten, map_leaves, model_hash, tree_spec
from secagg.schemes import scheme_of
from secagg.session import SessionSettings, UpdateEncoding
from secagg.session.loopback import Loopback
from tests.arguments.values import BASE, MARKS, METRIC, UPDATE, WEIGHT

IDS = ("g1", 2, "g3")
METRICS = {name: {"loss": METRIC, "n": 3} for name in IDS}
WEIGHTS = dict.fromkeys(IDS, WEIGHT)
SCHEMES = (secagg.Masks(), secagg.Lattice(), secagg.Ckks())


@dataclass
class Call:
    """One call whose arguments are going to be spoilt.

    Attributes:
        work: takes the arguments.
        given: good ones.
        private: names of those whose values no error may show.
        check: of (arguments, answer): asserts that the answer is right.
        errors: what it says it raises.
    """

    work: Callable[..., Any]
    given: dict[str, Any]
    private: tuple[str, ...] = ()
    check: Callable[[dict[str, Any], Any], None] = field(default=lambda _given, _answer: None)
    errors: tuple[type[Exception], ...] = (SecAggError,)


def tree(value: float = UPDATE) -> dict[str, Any]:
    return {
        "layer": {"w": np.full((2, 3), value, np.float32), "b": np.full(3, value)},
        "seen": np.array([3, 4]),
    }


def base() -> dict[str, Any]:
    return tree(BASE)


def updates() -> dict[Any, Any]:
    return {name: tree() for name in IDS}


# -- the recipe ------------------------------------------------------------------------------------


def run(rng: Random) -> Call:
    scheme = rng.choice(SCHEMES) if rng.random() < 0.1 else SCHEMES[0]
    invalid = "drop" if rng.random() < 0.2 else "raise"
    average = SecureAverage(clip=1.0, max_weight=4, scheme=scheme, invalid=invalid)

    def work(**given: Any) -> Any:
        try:
            return average.run(**given)
        except SecAggError:
            again = average.run(updates(), WEIGHTS, base=base())
            assert_plain({"updates": updates(), "weights": WEIGHTS, "base": base()}, again)
            raise

    given = {"updates": updates(), "weights": dict(WEIGHTS), "base": base(), "metrics": METRICS}
    if rng.random() < 0.1:
        given = {name: [*table.values()] for name, table in given.items() if name != "base"}
    given |= {"vanish": {}, "rounding_seed": b"x"} if rng.random() < 0.1 else {}
    for name, often in (("base", 0.3), ("weights", 0.3), ("metrics", 0.7)):
        if rng.random() < often:
            given.pop(name, None)
    return Call(work, given, ("updates", "weights", "base", "metrics"), assert_plain)


def leaves(node: Any, path: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """A tree as a reader of the documentation takes it."""
    if isinstance(node, Mapping):
        items = [(str(key), node[key]) for key in node]
    elif isinstance(node, list | tuple):
        items = [(str(index), child) for index, child in enumerate(node)]
    else:
        return {".".join(path): array(node)}
    found: dict[str, np.ndarray] = {}
    for name, child in items:
        found |= leaves(child, (*path, name))
    return found


def array(leaf: Any) -> np.ndarray:
    if type(leaf).__module__.startswith("torch"):
        return np.empty(leaf.shape) if leaf.is_meta else leaf.detach().numpy()
    return np.asarray(leaf)


def assert_plain(given: dict[str, Any], result: Any) -> None:
    """FedAvg of plain numpy, from the same arguments."""
    updates, weights, metrics = (_by_id(given.get(n)) for n in ("updates", "weights", "metrics"))
    shares = {name: float((weights or dict.fromkeys(updates, 1))[name]) for name in result.included}
    trees = {name: leaves(updates[name]) for name in result.included}
    start = None if given.get("base") is None else leaves(given["base"])
    like = next(iter(trees.values())) if start is None else start
    found, total = leaves(result.mean), sum(shares.values())

    assert not [mark for mark in MARKS if mark in str(result.dropped)]
    assert [*found] == [*like]
    assert abs(result.total_weight - total) <= 1e-6 * total
    for key, mean in found.items():
        origin = np.zeros(()) if start is None else start[key].astype(np.float64)
        steps = (share * (trees[name][key] - origin) for name, share in shares.items())
        expected = origin + sum(steps) / total
        eps = 0.5 if mean.dtype.kind in "iub" else 2 * float(np.finfo(mean.dtype).eps)
        most = result.report.error_bound + eps * max(1, float(np.abs(expected).max(initial=0)))
        assert mean.shape == like[key].shape
        assert mean.dtype == like[key].dtype
        assert result.report.clamped or np.abs(mean - expected).max(initial=0) <= most, key
    for name, value in result.metrics.items():
        expected = sum(float(metrics[each][name]) for each in result.included)
        assert result.report.clamped or abs(value - expected) < 1e-6


def _by_id(table: Any) -> Any:
    return table if isinstance(table, Mapping | None) else dict(enumerate(table))


def average(rng: Random) -> Call:
    settings = {
        "clip": rng.choice([1.0, {"*.w": 1.0, "*": 2.0}]),
        "max_weight": 4,
        "scheme": rng.choice([None, "auto", *SCHEMES]),
        "max_colluding": 1,
        "max_dropouts": 0,
        "precision": 2.0**-12,
        "select": rng.choice([None, "*", ["layer.*"]]),
        "clipping": "error",
        "invalid": "drop",
        "metric_bounds": {"loss": 2.0},
        "integer_bound": None,
        "purpose": "train",
        "threads": 1,
        "on_event": None,
    }

    def work(**given: Any) -> Any:
        made = SecureAverage(**given)
        str(made)
        made.plan(tree(), 3, ["loss"])
        if rng.random() < 0.2:
            return made.run(updates(), WEIGHTS, base=base())
        return None

    def check(_given: dict[str, Any], result: Any) -> None:
        if result is not None:
            assert_plain({"updates": updates(), "weights": WEIGHTS, "base": base()}, result)

    return Call(work, settings, (), check)


def _recipe(name: str, given: Callable[[], dict[str, Any]]) -> Callable[[Random], Call]:
    def make(_rng: Random) -> Call:
        made = SecureAverage(clip=1.0, max_weight=4)
        return Call(getattr(made, name), given(), ("template", "base"))

    return make


PLANNED = _recipe("plan", lambda: {"template": base(), "gateways": 3, "metrics": ["loss"]})
POLICED = _recipe("policy", lambda: {"template": base(), "gateways": 3, "metrics": ["loss"]})
PARAMS = _recipe(
    "params",
    lambda: {
        "cohort": list(IDS), "template": base(), "round": 1, "base": base(), "metrics": ["loss"],
        "retry": False,
    },
)  # fmt: skip
ENROLLED = _recipe("enroll", lambda: {"gateways": list(IDS)})


# -- a network -------------------------------------------------------------------------------------

ORCHESTRATOR = Identity("o", bytes(range(32)))
GATEWAYS = {name: Identity(name, bytes([place]) * 32) for place, name in enumerate(IDS, 1)}
ROSTER = Roster.of(1, ORCHESTRATOR, GATEWAYS.values())
POLICY = Policy(min_colluding=1)


def settings(scheme: Any = SCHEMES[0]) -> SessionSettings:
    encoding = UpdateEncoding(clip=1.0, max_weight=4, metrics={"loss": 9.0})
    return SessionSettings.of(scheme, encoding, base(), IDS, model=Model(base()).hash)


def clients() -> dict[Any, ClientSession]:
    return {
        name: ClientSession(identity, ROSTER, POLICY, MemoryJournal())
        for name, identity in GATEWAYS.items()
    }


def uploaded(rng: Random) -> Call:
    """A gateway's upload, and the rest of the round."""
    scheme = rng.choice(SCHEMES) if rng.random() < 0.1 else SCHEMES[0]
    good = {"update": tree(), "weight": WEIGHT, "base": base(), "metrics": {"loss": METRIC}}
    given = good | ({"rounding_seed": b"x", "select": None} if rng.random() < 0.2 else {})
    last: dict[str, Any] = {}

    def work(**spoilt: Any) -> Any:
        everybody = clients()

        def upload(name: Any) -> Any:
            session = everybody[name]
            if name != "g1":
                return session.upload(**good)
            try:
                return list(session.upload(**spoilt))
            except EncodingError as error:
                last["error"] = error
                return session.upload(**good)

        server = ServerSession(settings(scheme), ROSTER, ORCHESTRATOR)
        loop = Loopback(server, everybody, lambda name: lambda: iter(upload(name)))
        loop.run()
        if "error" in last:
            mean = server.result.mean(base(), base())
            assert np.abs(mean["layer"]["w"] - UPDATE).max() < 1e-3
            raise last["error"]
        return server.result

    def check(spoilt: dict[str, Any], result: Any) -> None:
        mine, weight = leaves(spoilt["update"]), float(spoilt["weight"])
        theirs, start, mean = leaves(tree()), leaves(base()), leaves(result.mean(base(), base()))
        for key, leaf in mean.items():
            step = weight * (mine[key] - start[key]) + 2 * WEIGHT * (theirs[key] - start[key])
            expected = start[key] + step / (weight + 2 * WEIGHT)
            assert result.clamped or np.abs(leaf - expected).max() < (
                0.51 if key == "seen" else 1e-3
            )

    return Call(work, given, ("update", "weight", "base", "metrics"), check)


def client_made(_rng: Random) -> Call:
    given = {
        "identity": GATEWAYS["g1"], "roster": ROSTER, "policy": POLICY, "journal": MemoryJournal(),
        "workers": secagg.Workers(1), "schemes": SCHEMES,
    }  # fmt: skip
    announce = next(iter(ServerSession(settings(), ROSTER, ORCHESTRATOR).start())).frame
    return Call(lambda **given: list(ClientSession(**given).receive(announce)), given)


def server_made(_rng: Random) -> Call:
    given = {
        "settings": settings(), "roster": ROSTER, "identity": ORCHESTRATOR, "max_in_flight": 2,
        "workers": secagg.Workers(1), "spool_bytes": 2**20, "setup": {},
    }  # fmt: skip
    return Call(lambda **given: list(ServerSession(**given).start()), given)


def told_server(_rng: Random) -> Call:
    server = ServerSession(settings(), ROSTER, ORCHESTRATOR)
    frame = next(iter(server.start())).frame
    answer = next(iter(clients()["g1"].receive(frame))).frame

    def work(**given: Any) -> Any:
        return list(server.receive(**given))

    return Call(work, {"sender": "g1", "frame": answer, "vouched": False})


def told_client(_rng: Random) -> Call:
    frame = next(iter(ServerSession(settings(), ROSTER, ORCHESTRATOR).start())).frame
    return Call(lambda frame: list(clients()["g1"].receive(frame)), {"frame": frame})


def left(_rng: Random) -> Call:
    session = clients()["g1"]
    list(session.receive(next(iter(ServerSession(settings(), ROSTER, ORCHESTRATOR).start())).frame))
    return Call(lambda reason: list(session.abort(reason)), {"reason": "late"})


def modelled(_rng: Random) -> Call:
    server = ServerSession(settings(), ROSTER, ORCHESTRATOR)
    return Call(server.use_model, {"base": base(), "retry": False}, ("base",))


_done: list[Any] = []


def finished() -> tuple[ServerSession, Any]:
    """A session with a sum, and its recipe's result; made once, nothing changes them."""
    if not _done:
        server = ServerSession(settings(), ROSTER, ORCHESTRATOR)
        everybody = clients()
        Loopback(
            server,
            everybody,
            lambda name: (
                lambda: everybody[name].upload(tree(), WEIGHT, base=base(), metrics={"loss": 1.0})
            ),
        ).run()
        recipe = SecureAverage(clip=1.0, max_weight=4)
        _done.extend([server, recipe.run(updates(), WEIGHTS, base=base(), metrics=METRICS)])
    return _done[0], _done[1]


def meant(_rng: Random) -> Call:
    server, _ = finished()

    def check(given: dict[str, Any], mean: Any) -> None:
        assert [*leaves(given["template"])] == [*leaves(mean)]
        if given["base"] is None:
            return
        origin = leaves(given["base"])["layer.w"]
        known = np.isfinite(origin)
        step = leaves(mean)["layer.w"][known] - origin[known]
        assert np.abs(step - (UPDATE - BASE)).max(initial=0) < 1e-3

    given = {"template": base(), "base": base()}
    return Call(server.result.mean, given, ("template", "base"), check)


# -- what stands alone -----------------------------------------------------------------------------


def _of(work: Callable[..., Any], given: Callable[[], dict[str, Any]], *private: str) -> Any:
    return lambda _rng: Call(work, given(), private)


def _shown(kind: Callable[..., Any]) -> Callable[..., Any]:
    """A struct is made, printed, and, where it has a file, written and read."""

    def work(**given: Any) -> Any:
        made = kind(**given)
        str(made)
        if hasattr(made, "dump"):
            assert type(made).load(made.dump()) == made
        if hasattr(made, "hash"):
            made.hash()
        return made

    return work


def _in_folder(work: Callable[..., Any], given: Callable[[], dict[str, Any]]) -> Any:
    """What writes a file does so in a folder that is gone afterwards."""

    def alone(**given: Any) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            work(**given)

    return lambda _rng: Call(alone, given(), errors=(SecAggError, OSError))


def _settings_of(**given: Any) -> Any:
    return SessionSettings.of(**given).round_params(None)


def _encoding(**given: Any) -> Any:
    return SessionSettings.of(SCHEMES[0], UpdateEncoding(**given), base(), IDS)


MASKS = {"packing": 3, "neighbours": None}
BOUNDS = {
    "clip": {"*": 1.0}, "max_weight": 4.0, "metrics": {"loss": 1.0}, "integers": 5,
    "clipping": "error",
}  # fmt: skip
POLICIES = {
    "min_colluding": 1, "min_gateways": 3, "min_included": 3, "max_words": 2**30,
    "lanes": (1, 2, 3), "bounds": {"train": Bounds(clip=1.0)}, "keep_bounds": True,
    "require_model": True, "repeat_model": "refuse", "max_round_step": 5,
}  # fmt: skip
ENCODING = {
    "clip": 1.0, "max_weight": 4, "precision": 2.0**-12, "select": None, "clipping": "error",
    "metrics": {"loss": 1.0}, "integers": None, "purpose": "train",
}  # fmt: skip

CALLS: dict[str, Callable[[Random], Call]] = {
    "SecureAverage": average,
    "SecureAverage.run": run,
    "SecureAverage.plan": PLANNED,
    "SecureAverage.policy": POLICED,
    "SecureAverage.params": PARAMS,
    "SecureAverage.enroll": ENROLLED,
    "suggest": _of(
        _shown(secagg.suggest),
        lambda: {
            "updates": updates(),
            "base": base(),
            "weights": dict(WEIGHTS),
            "gateways": 4,
            "scheme": "masks",
            "select": "*",
        },
        "updates",
        "base",
        "weights",
    ),
    "ClientSession": client_made,
    "ClientSession.receive": told_client,
    "ClientSession.upload": uploaded,
    "ClientSession.abort": left,
    "ServerSession": server_made,
    "ServerSession.receive": told_server,
    "ServerSession.use_model": modelled,
    "Aggregate.mean": meant,
    "SessionSettings.of": _of(
        _settings_of,
        lambda: {
            "scheme": SCHEMES[0],
            "encoding": UpdateEncoding(clip=1.0),
            "template": base(),
            "cohort": IDS,
            "model": bytes(32),
            "number": 1,
            "retry": False,
            "thresholds": None,
        },
        "template",
    ),
    "UpdateEncoding": _of(_encoding, lambda: dict(ENCODING)),
    "Federation": _of(_shown(Federation), lambda: {"roster": ROSTER, "round": 1, "ahead": ()}),
    "Federation.after": _of(
        lambda session: Federation(roster=ROSTER).after(session),
        lambda: {"session": finished()[0]},
    ),
    "Federation.under": _of(
        lambda roster: Federation(roster=ROSTER).under(roster),
        lambda: {"roster": Roster.of(2, ORCHESTRATOR, GATEWAYS.values())},
    ),
    "Federation.load": _of(Federation.load, lambda: {"data": Federation(roster=ROSTER).dump()}),
    "Policy": _of(_shown(Policy), lambda: dict(POLICIES)),
    "Policy.load": _of(Policy.load, lambda: {"data": POLICY.dump()}),
    "Bounds": _of(_shown(Bounds), lambda: dict(BOUNDS)),
    "Roster": _of(
        _shown(Roster),
        lambda: {"epoch": 1, "orchestrator": ROSTER.orchestrator, "members": ROSTER.members},
    ),
    "Roster.of": _of(
        Roster.of,
        lambda: {"epoch": 1, "orchestrator": ORCHESTRATOR, "gateways": [*GATEWAYS.values()]},
    ),
    "Member": _of(_shown(Member), lambda: {"id": "g1", "key": ROSTER.members[0].key}),
    "Identity": _of(_shown(Identity), lambda: {"id": "g1", "seed": bytes(32)}, "seed"),
    "Identity.generate": _of(Identity.generate, lambda: {"id": "g1", "rng": bytes}),
    "SQLiteJournal": _in_folder(
        lambda **given: SQLiteJournal(**given).close(), lambda: {"path": "j", "create": True}
    ),
    "Policy.save": _in_folder(POLICY.save, lambda: {"path": "p"}),
    "Federation.save": _in_folder(Federation(roster=ROSTER).save, lambda: {"path": "p"}),
    "Report.bound_of": lambda _rng: Call(finished()[1].report.bound_of, {"key": "layer.w"}),
    "Masks": _of(_shown(secagg.Masks), lambda: dict(MASKS)),
    "Lattice": _of(_shown(secagg.Lattice), lambda: {"committee": None}),
    "Ckks": _of(_shown(secagg.Ckks), lambda: {"committee": None}),
    "scheme_of": _of(scheme_of, lambda: {"name": "masks"}),
    "Workers": _of(
        lambda threads: secagg.Workers(threads).run(lambda *_: None, 9), lambda: {"threads": 1}
    ),
    "Model": _of(Model, lambda: {"tree": base()}, "tree"),
    "session_of": _of(secagg.session_of, lambda: {"frame": bytes(40)}),
    "flatten": _of(flatten, lambda: {"tree": tree()}, "tree"),
    "map_leaves": _of(
        map_leaves, lambda: {"tree": tree(), "change": lambda _key, leaf: leaf}, "tree"
    ),
    "model_hash": _of(model_hash, lambda: {"tree": tree()}, "tree"),
    "tree_spec": _of(tree_spec, lambda: {"tree": tree(), "clips": 1.0, "select": ["*"]}, "tree"),
    "round_page": _in_folder(round_page, lambda: {"report": finished()[1].report, "path": "p"}),
    "load_record": _of(load_record, lambda: {"data": dump_record(finished()[1].report.audit)}),
    "dump_roster": _of(dump_roster, lambda: {"roster": ROSTER}),
    "load_roster": _of(load_roster, lambda: {"data": dump_roster(ROSTER)}),
    "verify_record": _of(
        verify_record,
        lambda: {"record": finished()[1].report.audit, "roster": finished()[1].report.roster},
    ),
}
