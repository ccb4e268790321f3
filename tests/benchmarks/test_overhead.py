from __future__ import annotations

import gc
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import overhead
from benchmarks.overhead import main, unavailable
from benchmarks.overhead_cases import ALL, CUSTOMARY, FULL, LEAN, NVFLARE, PLAIN, SESSIONS, Setting
from benchmarks.overhead_facts import THREATS, facts
from benchmarks.overhead_page import page_of
from benchmarks.overhead_peers import NvflareEncryptor
from benchmarks.overhead_readme import BEGIN, END, picture, place, readme
from benchmarks.overhead_result import Cell, Overhead, Target, dump, load, targets
from benchmarks.overhead_schemes import deviation, split
from benchmarks.overhead_tables import markdown, text
from benchmarks.rounds import CLIP
from secagg.errors import ConfigurationError
from tests.reading import Page

ROOT = Path(overhead.__file__).parents[1]
pytestmark = pytest.mark.xdist_group("overhead")
MEASURED = tuple(scheme for scheme in ALL if scheme != NVFLARE)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    directory = tmp_path_factory.mktemp("overhead")
    # it collects garbage a hundred times: not through all that the test suite has imported
    gc.collect()
    gc.freeze()
    main(["--quick", "--output", str(directory)])
    gc.unfreeze()
    return directory


@pytest.fixture(scope="module")
def quick(output):
    return load(output / "overhead.json")


@pytest.fixture(scope="module")
def stored():
    return load(ROOT / "docs/overhead.json")


def cell_of(scheme: str, **changes) -> Cell:
    parts = {"encode": 1.0, "encrypt": 70.0, "serialise": 2.0, "other": 0.0}
    sums = {"add": 5.0, "open": 3.0, "finish": 1.0, "other": 0.0}
    cell = Cell(
        scheme=scheme,
        gateways=10,
        coordinates=1_000_000,
        layers=1,
        vanished=0,
        gateway=parts,
        upload=73.0,
        server=sums,
        aggregate=9.0,
        bytes_up=5.0,
        bytes_down=4.0,
        max_error=1e-8,
        rms_error=1e-9,
    )
    return replace(cell, **changes)


def run_of(*cells: Cell, **changes) -> Overhead:
    run = Overhead(
        machine={"cores": "2"}, quick=False, cells=[*cells], missing={}, minutes=1.0, model_hash=2.0
    )
    return replace(run, **changes)


def test_the_quick_run_measures_every_scheme_and_sums_are_right(quick):
    assert set(MEASURED) == {cell.scheme for cell in quick.main()}
    assert quick.quick
    for cell in quick.cells:
        assert cell.max_error is not None
        assert 0 <= cell.rms_error <= cell.max_error <= 1e-5
        assert cell.upload > 0
        assert cell.aggregate > 0
        assert all(part >= 0 for part in (*cell.gateway.values(), *cell.server.values()))
        assert (cell.decrypt > 0) == (cell.scheme in {LEAN, CUSTOMARY})
        assert (cell.neighbours > 0) == (cell.scheme == "masks")
        assert (cell.colluding > 0) == (cell.scheme in SESSIONS)
    memory = {cell.scheme for cell in quick.cells if cell.memory is not None}
    assert set(MEASURED) == memory


def test_uploads_have_the_sizes_of_their_schemes(quick):
    sizes = {cell.scheme: cell for cell in quick.main()}

    assert 4 == sizes[PLAIN].bytes_up == sizes[PLAIN].bytes_down
    assert 2.67 < sizes["masks"].bytes_up < 3.1
    assert sizes["ckks"].bytes_up - sizes["lattice"].bytes_up == pytest.approx(1, abs=0.3)
    assert sizes[LEAN].bytes_up < 8.1
    assert 1.9 < sizes[LEAN].bytes_down / sizes[LEAN].bytes_up < 2.1  # seeded only on the way up
    assert sizes[CUSTOMARY].bytes_up > 80


def test_layers_cost_ciphertexts_only_where_each_is_encrypted_apart(quick):
    (layers,) = {cell.layers for cell in quick.cells if cell.layers > 1}
    for cell in quick.find(gateways=10, layers=layers):
        flat = quick.of(cell.scheme)
        apart = cell.bytes_up > 1.5 * flat.bytes_up

        assert apart == (cell.scheme == CUSTOMARY)


def test_the_output_says_what_it_found(quick, output):
    record = json.loads((output / "overhead.json").read_text())
    written = (output / "overhead.md").read_text()
    page = Page((output / "overhead.html").read_bytes())

    assert {"name", "value", "limit", "least", "met"} == set(record["targets"][0])
    assert markdown(quick) == written
    assert page_of(quick).decode() == page.html
    assert 8 <= page.tags.count("svg")
    for content in (written, page.text, text(quick)):
        assert all(scheme in content for scheme in MEASURED)
        assert "figures mean nothing" in content
    assert quick == load(output / "overhead.json")


def test_a_page_says_what_was_not_measured_and_escapes_it():
    run = run_of(cell_of("ckks"), missing={NVFLARE: "<not> installed"})

    assert "<not> installed" in Page(page_of(run)).text
    assert "&lt;not&gt;" not in markdown(run)
    assert f"not measured: {NVFLARE}: <not> installed" in text(run)


def test_the_full_run_has_every_size_that_was_asked_for():
    degrees = {
        setting.case("masks").thresholds.degree for setting in FULL if "masks" in setting.schemes
    }
    rates = {setting.vanished / setting.gateways for setting in FULL if setting.gateways == 10}
    shapes = {(s.coordinates, s.layers) for s in FULL if s.gateways == 10 and s.schemes == ALL}

    assert {4, 9, 30, 98} == degrees
    assert {0, 0.1, 0.3} == rates
    assert {(d, layers) for d in (100_000, 1_000_000) for layers in (1, 60)} == shapes
    for setting in FULL:
        for scheme in set(setting.schemes) & set(SESSIONS):
            limits = setting.case(scheme).thresholds
            assert setting.vanished <= limits.max_dropouts


@pytest.mark.parametrize("scheme", MEASURED)
def test_only_schemes_of_this_library_stand_every_threat(scheme):
    known = facts(scheme)

    assert len(THREATS) == len(known.holds)
    assert (scheme in SESSIONS) == known.private
    assert ("any one gateway" in known.broken_by) == (scheme in {LEAN, CUSTOMARY})


def test_parts_that_took_a_hundred_times_the_whole_fit_into_their_picture():
    cell = cell_of("masks")
    slow = replace(cell, gateway=cell.gateway | {"encode": 7300.0})
    assert "Gateway by part" in Page(page_of(run_of(slow))).text


def test_the_answers_on_the_page_are_those_of_the_facts():
    text = Page(page_of(run_of(*map(cell_of, MEASURED)))).text
    for scheme in MEASURED:
        answers = " ".join("yes" if each else "NO" for each in facts(scheme).holds)

        assert f"{scheme} {answers}" in text


def test_a_target_is_met_or_missed():
    assert Target("time", 120.0, 120).met
    assert not Target("time", 120.1, 120).met
    assert Target("ratio", 9.0, 9, least=True).met
    assert not Target("ratio", 8.9, 9, least=True).met
    assert str(Target("time", 121.0, 120)) == "time: 121, at most 120: MISSED"
    assert str(Target("ratio", 10.0, 9, least=True)) == "ratio: 10, at least 9: met"


def test_targets_are_judged_on_ten_gateways_and_the_largest_model():
    cells = (
        cell_of("ckks", upload=40.0),
        cell_of("ckks", coordinates=100_000, upload=500.0),
        cell_of("ckks", gateways=31, upload=500.0),
        cell_of("ckks", layers=60, upload=500.0),
        cell_of("ckks", vanished=3, upload=500.0),
        cell_of(LEAN, upload=150.0, bytes_up=7.6),
        cell_of(CUSTOMARY, upload=1200.0, bytes_up=81.0),
    )
    run = run_of(*cells)

    assert all(target.met for target in targets(run))
    assert 7 == len(targets(run))
    slow = run_of(replace(cells[0], upload=60.0), *cells[1:])
    missed = [target.name for target in targets(slow) if not target.met]
    assert ["ckks: gateway, ns/coord"] == missed
    unknown = run_of(replace(cells[0], max_error=None))
    assert not targets(unknown)[0].met
    assert [] == targets(run_of(cell_of("masks")))


def test_what_parts_leave_of_the_whole_is_shown():
    columns = {"encode": ("check", "scale"), "encrypt": ("masks",)}
    best = {"gateway check": 1e-6, "gateway scale": 2e-6, "gateway other thing": 1.0}

    assert {"encode": 3.0, "encrypt": 0.0, "other": 2.0} == pytest.approx(
        split("gateway", columns, best, 1000, 5.0)
    )
    assert 0.0 == split("gateway", columns, best, 1000, 2.0)["other"]


def test_a_wrong_mean_is_seen():
    updates = [np.full(5, 0.25 * CLIP, np.float32), np.full(5, 0.75 * CLIP, np.float32)]
    right = np.full(5, 0.5 * CLIP)
    wrong = right.copy()
    wrong[3] += 0.1 * CLIP

    assert deviation(right, updates) == pytest.approx((0, 0), abs=1e-7)
    assert deviation(wrong, updates) == pytest.approx((0.1, 0.1 / 5**0.5), rel=1e-5)


def test_what_is_not_installed_is_named(monkeypatch):
    for absent, schemes in (
        ("tenseal", {LEAN, CUSTOMARY, NVFLARE}),
        ("nvflare", {NVFLARE}),
    ):
        monkeypatch.setattr(
            overhead, "find_spec", lambda name, absent=absent: None if absent == name else object()
        )
        missing = unavailable()

        assert schemes == set(missing)
        assert all("installed" in why or "pip install '.[seal]'" in why for why in missing.values())
    monkeypatch.setattr(overhead, "find_spec", lambda name: object())
    assert {} == unavailable()


def test_nvflares_encryptor_is_given_every_layer_and_a_context(monkeypatch):
    seen = []

    class Encryptor:
        def __init__(self, *, weigh_by_local_iter):
            assert not weigh_by_local_iter

        def encryption(self, params, context):
            seen.append((len(params), context, self.tenseal_context.global_scale))
            return {name: bytes(2 * len(layer)) for name, layer in params.items()}, {}

    for name, content in (
        ("nvflare.apis.fl_context", SimpleNamespace(FLContext=lambda: "context")),
        ("nvflare.app_opt.he.model_encryptor", SimpleNamespace(HEModelEncryptor=Encryptor)),
    ):
        monkeypatch.setitem(sys.modules, name, content)
    contender = NvflareEncryptor(Setting(10, 1_000, 0, 3, repeats=1, layers=7))
    contender.once()
    cell = contender.cell()

    assert [(7, "context", 2**40)] * 2 == seen
    assert 2.0 == cell.bytes_up
    assert cell.upload == cell.gateway["encrypt"] > 0
    assert None is cell.aggregate is cell.bytes_down is cell.max_error
    run = run_of(cell_of("ckks"), replace(cell, coordinates=1_000_000, layers=1))
    for content in (text(run), markdown(run), Page(page_of(run)).text, readme(run)):
        assert NVFLARE.split("'")[0] in content


def test_readme_is_what_the_stored_figures_give(stored):
    content = (ROOT / "README.md").read_text()

    assert content == place(content, readme(stored))
    assert (ROOT / "docs/overhead.svg").read_bytes() == picture(stored)
    assert not stored.quick
    assert set(MEASURED) <= {cell.scheme for cell in stored.main()}


def test_another_figure_gives_another_readme(stored):
    content = (ROOT / "README.md").read_text()
    first, *others = stored.cells
    changed = replace(stored, cells=[replace(first, upload=2 * first.upload), *others])

    assert content != place(content, readme(changed))
    assert picture(stored) != picture(changed)


def test_only_what_lies_between_the_comments_is_replaced():
    before = f"# Title\n{BEGIN}\nold\n{END}\nthe end\n"
    after = place(before, "new")

    assert f"# Title\n{BEGIN}\nnew\n{END}\nthe end\n" == after
    assert after == place(after, "new")


@pytest.mark.parametrize(
    "content",
    [
        "no place",
        f"{BEGIN} never ends",
        f"{END} never begins",
        f"{END} before {BEGIN}",
        f"{BEGIN}{END} twice {BEGIN}{END}",
    ],
)
def test_a_readme_without_one_place_is_refused(content):
    with pytest.raises(ConfigurationError, match="README"):
        place(content, "new")


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(overhead, "measure", lambda *_, **__: pytest.fail("it measured"))
    found = {name: tmp_path / name for name in ("STORED", "README", "PICTURE")}
    for name, path in found.items():
        monkeypatch.setattr(overhead, name, path)
    found["README"].write_text(f"{BEGIN}{END}")
    return found


def test_writing_the_readme_measures_nothing(paths, tmp_path):
    run = run_of(cell_of("ckks"), cell_of(PLAIN, aggregate=3.0))
    (tmp_path / "run.json").write_bytes(dump(run))
    main(["--readme", str(tmp_path / "run.json")])

    assert "| ckks | 73 | 9 (3x plaintext) | 5 / 4 | 1.0e-08 |" in paths["README"].read_text()
    assert picture(run) == paths["PICTURE"].read_bytes()
    assert run == load(paths["STORED"])


def test_figures_of_a_quick_run_stay_out_of_the_readme(paths, tmp_path):
    (tmp_path / "run.json").write_bytes(dump(run_of(cell_of("ckks"), quick=True)))

    with pytest.raises(SystemExit):
        main(["--readme", str(tmp_path / "run.json")])
    assert f"{BEGIN}{END}" == paths["README"].read_text()
    assert not paths["STORED"].exists()
