"""Every check of a client and of what a server is told, found in the source, and each removed.

A check is an `if` that ends in `raise`, a call that does nothing but check, a signature that is
verified while a message is opened, or an `except` that gives a fault its name. A server refuses
also by returning what is `Unproven`.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from secagg import session
from secagg.crypto import merkle
from secagg.protocol import (
    bounds,
    certificate,
    identity,
    journal,
    machine,
    outcome,
    policy,
    prekeys,
    server_machine,
    staging,
)
from secagg.schemes import client, server
from secagg.schemes.additive import client as additive
from secagg.schemes.additive import keyring, lifts, shares
from secagg.schemes.masks import client as masks

SOURCES: list[Any] = [
    masks.MasksClient,
    additive.AdditiveClient,
    keyring.Keyring,
    shares.Rows,
    client.Client,
    machine.ClientMachine,
    bounds.check_bounds,
    bounds.keep_bounds,
    policy.Policy,
    policy.check_announce,
    policy.check_round,
    certificate.verify_certificate,
    prekeys.open_prekey,
    merkle.opened_root,
    journal.MemoryJournal,
    server_machine.ServerMachine,
    server.Server,
    staging.Upload,
    outcome.check_opened,
    session.ClientSession,
    identity.check_parties,
    lifts.Zeros,
]
"""Classes and functions that decide what a client answers, and what a server believes."""
ONLY = {
    "ServerMachine": {"_conclude", "_fault", "_use", "_checked"},
    "ClientSession": {"_told_off"},
    "Server": {"_check_header", "_check_transcript", "_check_consistency"},
}
"""Methods of a class of which others check nothing that comes from somebody else."""
CALLS = (
    "self._require_self(",
    "self._require_floor(",
    "self._check_headers(",
    "self._check_certificate(",
    "check_public_key(",
    "check_public_keys(",
    "check_share(",
    "check_verifying_key(",
    "check_vectors(",
    "verify_certificate(",
    "thresholds.verify_thresholds(",
    "policy.check_session(",
    "policy.check_round(",
    "policy.check_step(",
    "check_bounds(",
    "verify(",
    "_at_least(",
    "self._context.journal.forget_prekeys(",
    "journal.forget_prekeys(",
    "self._spend(NO_MODEL)",
    "self._journal.put(",
    "self._machine.finish()",
    "context.journal.claim(",
    "self._context.journal.spend(",
    "self._verify(",
    "check(",
    "self._checked(",
    "self._stages[",
    "self._mac.verify(",
    "check_sum(",
    "_within(",
)
ROWS = ("len(row) !=", "check_row(")
"""A member's row that fails these is complained about."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        where: class and method, or function.
        text: its condition, or its call, as `ast.unparse` spells it.
    """

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def anything(*_: object) -> None:
    """A verification that is content with every signature."""


def functions() -> Iterator[tuple[str, Any, str, FunctionType]]:
    """(where, owner, name, function) of everything in `SOURCES`."""
    for source in SOURCES:
        if inspect.isfunction(source):
            yield source.__name__, sys.modules[source.__module__], source.__name__, source
            continue
        for name, member in vars(source).items():
            function = member.__func__ if isinstance(member, staticmethod) else member
            function = inspect.unwrap(function) if callable(function) else function
            here = sys.modules[source.__module__].__file__  # and not made by a dataclass
            if name not in ONLY.get(source.__name__, {name}):
                continue
            if inspect.isfunction(function) and function.__code__.co_filename == here:
                yield f"{source.__name__}.{name}", source, name, function


def tree_of(function: FunctionType) -> ast.FunctionDef:
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(found, ast.FunctionDef)
    return found


def text_of(node: ast.AST) -> str | None:
    """What a check is called; None for everything that is none."""
    if isinstance(node, ast.If):
        text = ast.unparse(node.test)
        last = node.body[-1]
        refuses = isinstance(last, ast.Raise) or text.startswith(ROWS)
        refuses |= isinstance(last, ast.Return) and "Unproven(" in ast.unparse(last)
        return text if refuses else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        text = ast.unparse(node.value)
        return text if text.startswith(CALLS) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        opens = node.func.attr == "open" and len(node.args) == 4
        return ast.unparse(node) if opens else None
    return None


@cache  # what is weakened has no source
def checks() -> list[Check]:
    """All of them."""
    return [
        Check(where, text)
        for where, _, _, function in functions()
        for node in ast.walk(tree_of(function))
        if (text := text_of(node)) is not None
    ]


def find(beginning: str) -> Check:
    """The check that is called so."""
    (found,) = (check for check in checks() if str(check).startswith(beginning))
    return found


class _Without(ast.NodeTransformer):
    def __init__(self, text: str) -> None:
        self.text, self.found = text, 0

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if text_of(node) != self.text:
            return node
        self.found += 1
        if self.text.startswith("check_row("):  # the branch that keeps the row
            return node.body
        return node.orelse or ast.Pass()

    def visit_Expr(self, node: ast.Expr) -> Any:
        self.generic_visit(node)
        if text_of(node) != self.text:
            return node
        self.found += 1
        return ast.Pass()

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if text_of(node) == self.text:
            self.found += 1
            node.args[-1] = ast.Name("_anything", ast.Load())
        return node


@contextmanager
def without(*disabled: Check) -> Iterator[None]:
    """Gateways of this process, without these checks."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for check in disabled:
            before += _disable(check)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


def _disable(check: Check) -> list[tuple[Any, str, Any]]:
    owner, name, function = next(each[1:] for each in functions() if each[0] == check.where)
    tree = _Without(check.text)
    changed = tree.visit(tree_of(function))
    assert tree.found == 1, f"{check} stands there {tree.found} times"
    changed.decorator_list = []
    lazy = ast.parse("from __future__ import annotations").body
    module = ast.fix_missing_locations(ast.Module([*lazy, changed], []))
    code = compile(module, f"<without {check}>", "exec")
    made_here: dict[str, Any] = {}
    function.__globals__["_anything"] = anything
    exec(code, function.__globals__, made_here)
    made = made_here[name]
    places: list[tuple[Any, str]] = [(owner, name)]
    if isinstance(owner, ModuleType):  # wherever it was imported to
        places = [
            (module, name)
            for key, module in list(sys.modules.items())
            if key.startswith("secagg") and getattr(module, name, None) is function
        ]
    before = [(place, attr, inspect.getattr_static(place, attr)) for place, attr in places]
    for place, attr, value in before:
        setattr(place, attr, staticmethod(made) if isinstance(value, staticmethod) else made)
    return before
