"""Functions with one check less: what a table of attacks must notice.

A mutant is a function's own source with one condition taken out. It is put in place by its code
object, so that everybody who has imported the function gets it.
"""

from __future__ import annotations
import ast
import copy
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, NamedTuple


class Mutant(NamedTuple):
    """`name` says where the check stood and which it was."""

    function: FunctionType
    name: str
    code: CodeType

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The function without the check, for as long as this lasts."""
        honest = self.function.__code__
        self.function.__code__ = self.code
        try:
            yield
        finally:
            self.function.__code__ = honest


def mutants(function: FunctionType) -> Iterator[Mutant]:
    """One for each check of a function: a guard, a call made for its errors, a part of either."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    places = sum(1 for _ in ast.walk(tree))
    for place in range(places):
        node = list(ast.walk(tree))[place]
        for part in range(_parts(node)):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[place]
            gone = _weaken(target, part)
            yield Mutant(function, f"{function.__qualname__}: {gone}", _compiled(changed, function))


def _parts(node: ast.AST) -> int:
    """How many ways there are to weaken this node."""
    match node:
        case ast.If(body=[ast.Raise() | ast.Return(value=ast.Constant(value=False))]):
            return 1
        case ast.Expr(value=ast.Call()):
            return 1
        case ast.BoolOp(values=values):
            return len(values)
        case ast.Compare(left=ast.Tuple(elts=left), comparators=[ast.Tuple(elts=right)]):
            return len(left) if len(left) == len(right) else 0
        case ast.Call(func=ast.Name(id="max"), args=[_, _, *_] as bounds):
            return len(bounds)
        case _:
            return 0


def _weaken(node: Any, part: int) -> str:
    """Takes one part out, in place."""
    if isinstance(node, ast.If):
        gone, node.test = ast.unparse(node.test), ast.Constant(value=False)
    elif isinstance(node, ast.Expr):
        gone, node.value = ast.unparse(node.value), ast.Constant(value=None)
    elif isinstance(node, ast.BoolOp):
        neutral = ast.Constant(value=isinstance(node.op, ast.And))
        gone, node.values[part] = ast.unparse(node.values[part]), neutral
    elif isinstance(node, ast.Compare):
        gone = f"{ast.unparse(node.left.elts.pop(part))} in a tuple"
        del node.comparators[0].elts[part]
    else:
        gone = f"{ast.unparse(node.args.pop(part))} in max"
        node.args = [ast.List(elts=node.args, ctx=ast.Load())]
    return gone


def _compiled(tree: ast.Module, function: FunctionType) -> CodeType:
    """The code of the only function of a module, as `from __future__ import annotations` has it."""
    definition: Any = tree.body[0]
    definition.decorator_list = []
    definition.args.defaults = []
    definition.args.kw_defaults = [None] * len(definition.args.kwonlyargs)
    module = compile(ast.fix_missing_locations(tree), "<mutant>", "exec")
    return next(
        code
        for code in module.co_consts
        if isinstance(code, CodeType) and code.co_name == function.__name__
    )
