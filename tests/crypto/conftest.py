from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VECTORS = Path(__file__).parents[1] / "vectors"


def _oracle() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_crypto", VECTORS / "generate_crypto.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    return _oracle()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an `operation` runs once for each one in its module's VECTOR_FILE."""
    if "operation" in metafunc.fixturenames:
        name = metafunc.module.VECTOR_FILE
        operations: list[dict[str, Any]] = json.loads((VECTORS / name).read_text("utf-8"))[
            "operations"
        ]
        ids = [f"{o['operation']}-{i}-{o['success']}" for i, o in enumerate(operations)]
        metafunc.parametrize("operation", operations, ids=ids)
