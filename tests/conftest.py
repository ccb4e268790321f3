"""How long properties are searched: HYPOTHESIS_PROFILE is dev (default), ci (same draws always) or
deep (hours)."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.strategies import PROFILE

# before anything imports them, so that their assertions show their values
pytest.register_assert_rewrite(
    "tests.schemes.contract",
    "tests.schemes.contract_noise",
    "tests.schemes.world",
)

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(PROFILE)


@pytest.fixture
def any_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that take thresholds which a real one refuses: for controls and for circulants."""
    monkeypatch.setattr("secagg.thresholds.verify_thresholds", lambda _thresholds: None)
