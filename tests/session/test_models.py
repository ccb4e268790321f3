"""The model that an update is made on: what of it is compared, and that it stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.average.everybody import Everybody
from secagg.session.loopback import Loopback
from secagg.session.update import Model
from secagg.workers import SERIAL

IDS = range(4)
Tree = dict[str, Any]


def play(average: SecureAverage, base: Tree, prepare: Callable[[Any, int], Any]) -> Any:
    """A session over separate parties: `prepare` makes the frames of a gateway's upload."""
    settings = average.params(IDS, base, round=1, base=base)
    server, clients = Everybody(SERIAL).sessions(settings)
    Loopback(server, clients, lambda name: lambda: prepare(clients[name], name)).run()
    return server.result.mean(base, base)


@pytest.mark.parametrize("kind", [dict, Model])
def test_every_gateway_may_keep_a_head_of_its_own(kind: Any) -> None:
    def prepare(client: Any, name: int) -> Any:
        own = {"body": np.zeros(2), "head": np.full(name + 1, 9.0) if name else None}
        update = own | {"body": np.full(2, 0.1 * name)}
        if kind is Model:
            own = Model(own, select="body")
        return client.upload(update, base=own, select="body")

    base = {"body": np.zeros(2), "head": np.full(2, 5.0)}
    mean = play(SecureAverage(clip=1.0, select="body"), base, prepare)

    assert mean["body"] == pytest.approx(0.15, abs=1e-3)
    assert mean["head"] is base["head"]
