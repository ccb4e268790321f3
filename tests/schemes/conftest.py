from __future__ import annotations

import pytest

# before anything imports them, so that their assertions show their values
pytest.register_assert_rewrite(
    "tests.schemes.contract", "tests.schemes.contract_noise", "tests.schemes.world"
)
