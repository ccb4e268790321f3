"""What the package shows: documented names, light imports, no secret in a repr."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import secagg
from protocol_sim import parties, play
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.randomness import entropy
from secagg.crypto.secret import Secret
from secagg.errors import LocalProtocolError
from secagg.params import Entropy
from secagg.schemes import BY_NAME
from secagg.schemes.masks import Masks

PUBLIC = (
    "secagg",
    "secagg.average",
    "secagg.session",
    "secagg.fixed_point",
    "secagg.pytree",
    "secagg.pages",
)
EXTRAS = ("torch", "tenseal", "flwr", "opacus", "typer", "rich", "sklearn", "scipy", "matplotlib")


@pytest.mark.parametrize("module", PUBLIC)
def test_every_exported_name_exists_is_sorted_and_documented(module: str) -> None:
    package = import_module(module)

    assert sorted(set(package.__all__)) == package.__all__
    assert package.__doc__
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert value.__doc__, f"{module}.{name} has no docstring"
            assert not value.__doc__.startswith(f"{name}("), f"{module}.{name}: a generated one"


@pytest.mark.parametrize("name", secagg.__all__)
def test_every_public_method_is_documented(name: str) -> None:
    value = getattr(secagg, name)
    if not inspect.isclass(value):
        return
    for attribute, member in vars(value).items():
        member = getattr(member, "__func__", member)  # noqa: PLW2901 - what is behind classmethod
        if attribute.startswith("_") or not (
            inspect.isroutine(member) or isinstance(member, property)
        ):
            continue
        assert member.__doc__, f"{name}.{attribute} has no docstring"


def test_every_registered_scheme_is_public() -> None:
    for name, scheme in BY_NAME.items():
        assert name == scheme.name
        assert scheme is getattr(secagg, scheme.__name__)
        assert scheme.best_for


def test_nothing_of_the_core_is_reached_by_a_private_name() -> None:
    """What the sessions and the recipe take and give can be imported from the top."""
    for name in ("Send", "UpdateDue", "GatewayDropped", "Identity", "Roster", "Policy", "Workers"):
        assert name in secagg.__all__


@pytest.mark.parametrize("module", ["secagg", "secagg.schemes.masks", "secagg.session"])
def test_an_import_pulls_no_extra(module: str) -> None:
    question = f"import sys, {module}; print(*(x for x in {EXTRAS!r} if x in sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", question], capture_output=True, text=True, check=True
    )

    assert "" == answer.stdout.strip()


# -- secrets ---------------------------------------------------------------------------------------


def reachable(root: object) -> Iterator[object]:
    """Everything that hangs on an object, but modules, classes and the globals of functions."""
    seen, todo = {id(root)}, [root]
    while todo:
        value = todo.pop()
        yield value
        if isinstance(value, types.FunctionType):
            inner: Any = [cell.cell_contents for cell in value.__closure__ or ()]
        else:
            inner = gc.get_referents(value)
        for each in inner:
            if id(each) not in seen and not isinstance(each, (type, types.ModuleType)):
                seen.add(id(each))
                todo.append(each)


def spellings(secret: bytes) -> set[str]:
    """How the first bytes of a secret would look in a text."""
    start = secret[:8]
    return {repr(start)[2:-1], start.hex(), str(list(start))[1:-1]}


@pytest.mark.parametrize("phase", [*(step.name for step in Masks.steps), "done"])
def test_no_repr_shows_a_secret(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets: set[bytes] = set()

    def remembered(*name: object) -> Entropy:
        draw = entropy(*name)

        def drawn(size: int) -> bytes:
            data = draw(size)
            # session ids are public, and coefficients are drawn in bulk
            secrets.update([data] if size == 32 else [])
            return data

        return drawn

    for module in (parties, play):
        monkeypatch.setattr(module, "entropy", remembered)
    exchange = Exchange(Parties(4), vanish={"g3": "half"}).play_until(phase)
    everything = list(reachable(exchange))
    for value in everything:
        if isinstance(value, Secret):
            try:
                secrets.add(value.reveal())
            except LocalProtocolError:
                continue  # erased
    ours = [value for value in everything if type(value).__module__.startswith("secagg")]
    needles = set().union(*map(spellings, secrets - {b""}))

    assert len(ours) > 50
    assert len(secrets) > 5
    for value in ours:
        shown = repr(value) + str(value)
        found = [needle for needle in needles if needle in shown]
        assert not found, f"the repr of a {type(value).__name__} shows a secret"
