from __future__ import annotations

import warnings

import pytest

from secagg.schemes.shared_key import InsecureSchemeWarning, InsecureSharedKey


@pytest.fixture
def made():
    """Makes the scheme, without its warning."""

    def make(parameters="lean", *, gateways=3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureSchemeWarning)
            return InsecureSharedKey(parameters, gateways=gateways)

    return make
