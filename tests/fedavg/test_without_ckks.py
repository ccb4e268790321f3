"""What is said and what runs where the extra for CKKS is not installed."""

from __future__ import annotations

import pytest

from fedavg.settings import Settings
from secagg import Ckks
from secagg.protocol.audit_file import dump_record, dump_roster
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason
from secagg.schemes.additive.ckks import ring
from secagg.schemes.seal_file import SealMissing
from secagg.session import ClientSession
from tests.command_lines import start
from tests.fedavg.runs import report_of
from tests.schemes.world import World

QUICK = ("--task", "threshold", "--gateways", "4", "--rounds", "1")
EXTRA = ("tenseal", "zstandard")


@pytest.mark.parametrize(
    ("missing", "program", "arguments"),
    [
        ("tenseal", "fedavg", ("run", *QUICK, "--scheme", "ckks", "--output", "{}/out")),
        ("zstandard", "fedavg", ("compare", *QUICK, "--schemes", "masks,ckks")),
        ("tenseal", "secagg", ("plan", "--gateways", 4, "--coordinates", 9, "--scheme", "ckks")),
    ],
)
def test_ckks_is_refused_in_one_line_before_anybody_trains(missing, program, arguments, tmp_path):
    given = [str(each).format(tmp_path) for each in arguments]
    done = start(program, *given, without=(missing,))

    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == done.stderr.count("\n"), done.stderr
    assert done.stderr.startswith("error: ")
    assert missing in done.stderr
    assert "pip install '.[ckks]'" in done.stderr
    assert "use the scheme masks or lattice" in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_the_control_with_the_extra_runs():
    done = start("fedavg", "run", *QUICK, "--scheme", "ckks")

    assert 0 == done.returncode, done.stderr
    assert "Protected by ckks" in done.stdout


def test_other_schemes_run():
    done = start(
        "fedavg", "compare", *QUICK, "--schemes", "masks,lattice,auto,plain", without=EXTRA
    )

    assert 0 == done.returncode, done.stderr
    assert ["masks", "lattice", "auto", "plain"] == [
        line.split()[0] for line in done.stdout.splitlines()[1:5]
    ]


def test_records_of_rounds_with_ckks_verify(tmp_path):
    world = World(Ckks(), 4).play()
    (tmp_path / "roster.json").write_bytes(dump_roster(world.roster))
    (tmp_path / "round-0001.json").write_bytes(dump_record(world.server.audit))
    done = start("secagg", "audit", tmp_path, without=EXTRA)

    assert 0 == done.returncode, done.stderr
    assert "round 1 verifies; 4 of 4 gateways in the sum" in done.stdout


def test_a_gateway_without_the_extra_is_dropped_and_the_others_are_averaged(monkeypatch):
    receive = ClientSession.receive

    def missing(_):
        raise SealMissing("not here")

    def received(self, frame):
        with monkeypatch.context() as patch:
            if self._context.identity.id == "g03":
                patch.setattr(ring, "seal_ring", missing)
            return receive(self, frame)

    monkeypatch.setattr(ClientSession, "receive", received)
    report = report_of(Settings(task="threshold", gateways=5, rounds=1, scheme="ckks"))
    [done] = report.rounds

    gone = GatewayDropped("g03", "upload", DropReason.ABORTED, "SealMissing: not here")
    assert {"g03": gone} == done.dropped
    assert ("g01", "g02", "g04", "g05") == done.included
    assert report.comparison.within_bounds
