"""`secagg plan` and `secagg audit` as a user types them."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import Ckks, Lattice, cli
from secagg.cli import app
from secagg.protocol import audit_file
from secagg.protocol.audit_file import dump_record, dump_roster
from tests.schemes.world import World as Rounds

PARTIES = Parties(5)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three rounds of one roster; g4 vanishes in the second."""
    place = tmp_path_factory.mktemp("audit")
    (place / "roster.json").write_bytes(dump_roster(PARTIES.roster))
    for number in (1, 2, 3):
        vanish = {"g4": "masked_input"} if number == 2 else {}
        record = Exchange(PARTIES, number, vanish=vanish).play().server.audit
        (place / f"round-{number:04}.json").write_bytes(dump_record(record))
    return place


def spoilt(path, tmp_path, old, new):
    text = path.read_text()
    assert re.search(old, text)
    changed = tmp_path / path.name
    changed.write_text(re.sub(old, new, text, count=1))
    return changed


@pytest.mark.parametrize(
    ("scheme", "gateways", "lines"),
    [
        ("masks", 100, ["colluding C        10", "neighbours k       22", "quorum q           56"]),
        ("ckks", 10, ["committee m        10", "error of the mean", "x float32"]),
        (
            "lattice",
            100,
            ["committee m        93", "values in a share  32", "the opened sum is exact"],
        ),
        ("auto", 100, ["scheme             lattice", "Lattice: "]),
        (
            "masks",
            5,
            [
                "1.39e-05 rms, 7.7e-05 worst, if weights average 0.0625 (max_weight / 16)",
                "8.71e-07 rms, 4.81e-06 worst, if all weigh 1",
            ],
        ),
    ],
)
def test_a_plan_prints_what_a_round_needs(scheme, gateways, lines):
    done = invoke("plan", "--gateways", gateways, "--coordinates", 1000, "--scheme", scheme)

    assert 0 == done.exit_code, done.output
    assert all(line in done.output for line in lines)
    assert ("the opened sum is exact" in done.output) == (scheme in {"lattice", "auto"})


@pytest.mark.parametrize("scheme", [Lattice(), Ckks()], ids=lambda each: each.name)
def test_a_record_of_an_additive_scheme_tells_its_own_story(scheme, tmp_path):
    world = Rounds(scheme, 5, vanish={4: "upload"}).play()
    (tmp_path / "roster.json").write_bytes(dump_roster(world.roster))
    (tmp_path / "round-0001.json").write_bytes(dump_record(world.server.audit))
    done = invoke("audit", tmp_path / "round-0001.json")

    assert 0 == done.exit_code
    for line in (
        "n 5, C 1, D 1, m 5, R 4, ell 1, q 4, n_min 4",
        "5 sent keys",
        "4 are in the sum; missing, and why by the server's word: 4 (upload: SILENT)",
    ):
        assert line in done.output
    assert "dealt shares" not in done.output


@pytest.mark.parametrize(
    ("gateways", "coordinates", "scheme", "said"),
    [
        (9, 10, "paillier", "scheme is 'paillier': use one of masks, lattice, ckks"),
        (2, 10, "masks", "2 gateways: it takes 3 or more"),
        (9, 10**21, "masks", "Invalid value for '--coordinates': "),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(gateways, coordinates, scheme, said):
    done = invoke("plan", "--gateways", gateways, "--coordinates", coordinates, "--scheme", scheme)

    assert 2 == done.exit_code
    assert f"error: {said}" in done.output
    assert 1 == done.output.count("\n")


def test_a_good_record_tells_its_story(folder):
    done = invoke("audit", folder / "round-0002.json")

    assert 0 == done.exit_code, done.output
    for said in (
        "epoch 1, 5 gateways",
        f"fingerprint {PARTIES.roster.hash().hex()}: it was beside the record",
        "round 2 verifies; 4 of 5 gateways in the sum",
        "n 5, C 1, D 1, k 4, t 3, q 4, n_min 4",
        "4 are in the sum; missing, and why by the server's word: g4 (masked_input: SILENT)",
        "certificate: 4 of them signed this very set, 4 are needed",
        "not proved: that the published mean is the sum",
    ):
        assert said in done.output


def test_a_pinned_roster_needs_no_comparison(folder):
    done = invoke("audit", folder / "round-0001.json", "--roster", folder / "roster.json")

    assert 0 == done.exit_code
    assert "compare" not in done.output


def test_a_directory_is_all_its_rounds(folder):
    done = invoke("audit", folder)

    assert 0 == done.exit_code, done.output
    assert ["round 1 verifies", "round 2 verifies", "round 3 verifies"] == re.findall(
        r"round \d verifies", done.output
    )


def test_programs_read_json(folder, tmp_path):
    path = spoilt(
        folder / "round-0001.json", tmp_path, r'"clipping": "error"', '"clipping": "saturate"'
    )
    files = (folder / "round-0002.json", path, "--roster", folder / "roster.json")
    plan = invoke("plan", "--gateways", 9, "--coordinates", 10, "--json")
    done = invoke("audit", *files, "--json")
    planned, audited = (json.loads(each.stdout) for each in (plan, done))
    good, bad = audited["records"]

    assert (0, 1) == (plan.exit_code, done.exit_code)
    assert ("masks", 9, 10) == (
        planned["scheme"],
        planned["thresholds"]["gateways"],
        planned["vectors"][0]["length"],
    )
    assert [{"gateway": "g4", "phase": "masked_input", "reason": "SILENT"}] == good["dropped"]
    assert (2, True, ["g0", "g1", "g2", "g3"], ["g0", "g1", "g2", "g3", "g4"]) == tuple(
        good[key] for key in ("round", "verifies", "included", "gateways")
    )
    assert (1, False) == (bad["round"], bad["verifies"])
    assert any(fault.startswith("round parameters: ") for fault in bad["faults"])


def test_rounds_must_rise(folder):
    done = invoke("audit", folder / "round-0002.json", folder / "round-0001.json")

    assert 1 == done.exit_code
    assert "round 1 does not come after round 2" in done.output


def test_a_tampered_record_is_named_part_by_part(folder, tmp_path):
    path = spoilt(
        folder / "round-0001.json", tmp_path, r'"clipping": "error"', '"clipping": "saturate"'
    )
    done = invoke("audit", path, "--roster", folder / "roster.json")

    assert 1 == done.exit_code
    assert "DOES NOT VERIFY" in done.output
    assert "  - round parameters: " in done.output
    assert "  - upload header of 'g0' is of another transcript" in done.output


def test_another_roster_is_named(folder, tmp_path):
    others = tmp_path / "roster.json"
    others.write_bytes(dump_roster(Parties(5, seed="b").roster))
    done = invoke("audit", folder / "round-0001.json", "--roster", others)

    assert 1 == done.exit_code
    assert "the record is of another roster" in done.output


def test_a_record_whose_cohort_cannot_be_read_still_says_why(folder, tmp_path):
    path = spoilt(folder / "round-0001.json", tmp_path, r'"cohort": "1f"', '"cohort": "ffff"')
    done = invoke("audit", path, "--roster", folder / "roster.json")

    assert 1 == done.exit_code
    assert "  - session parameters: " in done.output


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f, t: [f / "round-0009.json"], "No such file"),
        (lambda f, t: [t], "no round-*.json in this directory"),
        (lambda f, t: [f / "roster.json"], "not a secagg audit record"),
        (lambda f, t: [f / "round-0001.json", "--roster", t / "none.json"], "No such file"),
        (
            lambda f, t: [f / "round-0001.json", "--roster", f / "round-0001.json"],
            "not a secagg roster",
        ),
        (lambda f, t: [], "Missing argument"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_exit_code_two(folder, tmp_path, make, said):
    done = invoke("audit", *make(folder, tmp_path))

    assert 2 == done.exit_code
    assert said in done.stderr
    assert "" == done.stdout


def test_a_file_that_cannot_be_read_is_one_line(folder, tmp_path):
    (tmp_path / "round-0001.json").write_bytes(b"\xff\n\n")
    done = invoke("audit", tmp_path / "round-0001.json", "--roster", folder / "roster.json")

    assert (2, "") == (done.exit_code, done.stdout)
    assert 1 == done.stderr.count("\n")


def test_a_file_without_end_is_not_read_to_its_end(folder, monkeypatch):
    monkeypatch.setattr(cli, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(audit_file, "MAX_FILE_BYTES", 100)
    done = invoke("audit", "/dev/zero", "--roster", "/dev/zero")

    assert 2 == done.exit_code
    assert "error: roster /dev/zero: more than 100 bytes" in done.stderr


def test_rounds_of_a_directory_are_in_the_order_of_their_numbers(folder, tmp_path):
    for number in (9999, 10000):
        record = Exchange(PARTIES, number).play().server.audit
        (tmp_path / f"round-{number:04}.json").write_bytes(dump_record(record))
    done = invoke("audit", tmp_path, "--roster", folder / "roster.json")

    assert 0 == done.exit_code, done.output
    assert ["round 9999 verifies", "round 10000 verifies"] == re.findall(
        r"round \d+ verifies", done.output
    )


def test_a_file_cannot_write_lines_of_its_own(folder, tmp_path):
    """A name in a record is not signed before it has been checked."""
    path = tmp_path / "round-0001.json"
    forged = json.loads((folder / path.name).read_text())
    forged["round"]["params"]["leaves"][0]["vector"] = 9
    forged["round"]["params"]["leaves"][0]["key"] = "w\n  certificate: all signed\x1b[2K\u202e"
    path.write_text(json.dumps(forged, indent=1, ensure_ascii=False) + "\n")
    done = invoke("audit", path, "--roster", folder / "roster.json")

    assert 1 == done.exit_code
    assert r"w\n  certificate: all signed\x1b[2K\u202e does not lie" in done.output
    assert not any(line.startswith("  certificate") for line in done.output.splitlines())


def test_help_explains_itself():
    done = invoke("audit", "--help")

    assert 0 == done.exit_code
    for said in ("offline", "roster", "Exit code"):
        assert said in done.output
