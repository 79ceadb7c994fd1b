"""Claims hold exactly where the numbers say so, and the report says which do not."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import ttest_1samp

import dataselect.command_line as dataselect
from paper_repro.catalogue import EXPERIMENTS
from paper_repro.claims import (
    Claim,
    agreement,
    agreement_claim,
    beats,
    best_scheme_changes,
    detectable,
    theory_claim,
    together,
)
from paper_repro.report import Chapter, markdown, write_report
from paper_repro.reproduce import reproduce
from paper_repro.reproduction import Reproduction
from paper_repro.reproductions import beats_full_sample, finite_size
from paper_repro.reproductions.settings import HIGH_DIMENSION, LABELS
from paper_repro.reproductions.top_k import AXES as TOP_K_AXES
from paper_repro.reproductions.top_k import FIGURE as TOP_K
from paper_repro.reproductions.top_k import SCHEMES
from simulate.experiment import run_experiment
from tests.test_reproduction import small, thinned


def results(gap: float = 0.0, noise: float = 0.01, repeats: int = 20) -> xr.Dataset:
    """Two schemes with errors 0.20 and 0.25 at two fractions, simulated ``gap`` too high."""
    shape = (2, 2)
    theory = np.array([[0.20, 0.20], [0.25, 0.15]])
    generator = np.random.default_rng(1)
    common = noise * generator.normal(size=repeats)
    own = 0.1 * noise * generator.normal(size=(*shape, repeats))
    dims = ("alpha", "fraction")
    return xr.Dataset(
        {
            "theory_misclassification": (dims, theory),
            "theory_status": (dims, np.full(shape, "CONVERGED")),
            "theory_residual": (dims, np.full(shape, 1e-14)),
            "theory_error_estimate": (dims, np.full(shape, 1e-9)),
            "repeated": (dims, np.full(shape, False)),
            "simulation_misclassification": (
                (*dims, "data_set"),
                theory[..., None] + gap + common + own,
            ),
            "simulation_converged": ((*dims, "data_set"), np.ones((*shape, repeats))),
            "simulation_dimension": (dims, np.full(shape, 1000)),
        },
        coords={"alpha": [0.0, 1.0], "fraction": [0.3, 0.7]},
    )


BETTER, WORSE = {"alpha": 0.0, "fraction": 0.3}, {"alpha": 1.0, "fraction": 0.3}


def test_the_better_of_two_points_wins_in_theory_and_in_paired_simulation() -> None:
    claims = beats(results(), "paper", "first", BETTER, WORSE)
    assert [claim.holds for claim in claims] == [True, True]
    assert "20.00% against 25.00%" in claims[0].numbers
    assert "20 pairs" in claims[1].basis
    assert [claim.holds for claim in beats(results(), "paper", "second", WORSE, BETTER)] == [
        False,
        False,
    ]


def test_equal_points_do_not_beat_each_other() -> None:
    claims = beats(results(), "paper", "equal", BETTER, {"alpha": 0.0, "fraction": 0.7})
    assert [claim.holds for claim in claims] == [False, False]


def test_a_claim_on_a_point_that_did_not_converge_does_not_hold() -> None:
    broken = results()
    broken.theory_status[0, 0] = "DIVERGED!"
    assert not beats(broken, "paper", "broken", BETTER, WORSE)[0].holds
    claim = theory_claim("paper", "anything", True, "1", broken)
    assert not claim.holds
    assert "did not converge" in claim.basis


def test_the_best_scheme_changes_or_does_not() -> None:
    assert best_scheme_changes(results(), "paper", "changes").holds
    assert not best_scheme_changes(results().isel(fraction=[0]), "paper", "one fraction").holds


def test_differences_within_the_error_estimates_are_not_told_apart() -> None:
    rough = results()
    rough["theory_error_estimate"] = rough.theory_error_estimate + 0.5
    for pair in ((BETTER, WORSE), (WORSE, BETTER)):
        assert not beats(rough, "paper", "better", *pair)[0].holds
    assert not best_scheme_changes(rough, "paper", "changes").holds


def test_agreement_does_not_hold_where_a_gap_could_not_be_seen() -> None:
    noisy = results(noise=0.05)
    claim = agreement_claim(noisy)
    assert not claim.holds
    assert "too few data sets to see 1 point beyond the allowance at p = 1000" in claim.numbers


@pytest.mark.parametrize(("repeats", "tests"), [(10, 1), (10, 2), (20, 1), (20, 2)])
def test_a_detectable_gap_is_found_as_often_as_stated(repeats: int, tests: int) -> None:
    """Student's t-tests of the allowed gap, on samples whose true mean is that far off."""
    generator = np.random.default_rng(0)
    true_error = np.array([repeats**-0.5])
    gap = detectable(true_error, np.array([repeats]), tests)
    samples = generator.normal(gap, 1, (40_000, repeats))
    alone = ttest_1samp(samples, 0, axis=1, alternative="greater").pvalue
    assert np.mean(alone < 0.001 / 2 / tests) == pytest.approx(0.95, abs=0.01)


def test_a_single_data_set_finds_no_gap() -> None:
    assert np.isnan(detectable(np.array([np.nan]), np.array([1]), 1))
    assert not agreement_claim(results(repeats=1)).holds


@pytest.mark.parametrize(("gap", "agrees"), [(0.0, True), (0.0005, True), (0.03, False)])
def test_agreement_sees_a_gap_that_is_neither_noise_nor_finite_size(
    gap: float, agrees: bool
) -> None:
    assert agreement_claim(results(gap)).holds == agrees
    largest = agreement(results(gap), ["alpha"])["largest gap (points)"].max()
    assert largest == pytest.approx(100 * gap, abs=0.6)


def test_points_with_failed_fits_are_left_out_and_counted() -> None:
    some = xr.concat([results()] * 5, "ridge")
    some.simulation_misclassification[0, 0, 0, 0] = 0.5
    some.simulation_converged[:2, 0, 0, 0] = 0
    claim = agreement_claim(some)
    assert claim.holds
    assert "18 points" in claim.numbers
    assert "2 of 20 points left out (10.0%)" in claim.numbers
    assert agreement(some, ["alpha"])["failed fits"].tolist() == [2, 0]
    some.simulation_converged[2, 0, 0, 0] = 0
    claim = agreement_claim(some)
    assert not claim.holds
    assert "3 of 20 points left out (15.0%, more than 10%)" in claim.numbers
    some.simulation_converged[..., 0] = 0
    claim = agreement_claim(some)
    assert not claim.holds
    assert "20 of 20 points left out" in claim.numbers


def chapter(*claims: Claim) -> Chapter:
    return Chapter(TOP_K, list(claims), pd.DataFrame({"|z|": [0.5]}), {}, "made so")


def test_the_report_begins_with_what_fails() -> None:
    good = Claim("it works", "paper", "1", "theory", True)
    bad = Claim("it always works", "paper", "2", "theory", False)
    page = markdown([chapter(good, bad)])
    assert "1 of 2 machine-checked claims hold" in page
    assert page.index("Claims that do not hold") < page.index("it works")
    assert page.index("Stated by the paper") < page.index("it always works")
    assert "No claim fails" in markdown([chapter(good)])


def comparison(chance: float) -> Claim:
    """A simulated comparison whose sign would be this by chance with this probability."""
    return Claim("a < b", "paper", "1", "simulation", chance < 0.01, 1 - chance)


def test_simulated_comparisons_are_counted_and_judged_together() -> None:
    theory, simulated = beats(results(), "paper", "first", BETTER, WORSE)
    assert theory.confidence is None
    assert simulated.confidence is not None
    assert simulated.confidence > 0.9999
    several = [*map(comparison, (0.5, 0.004, 0.001, 0.002)), theory]
    text = together(several)  # Holm: 4 * 0.001, 3 * 0.002, 2 * 0.004 are the chances of the three
    assert text.startswith("4 comparisons are simulated")
    assert "0.04 would be expected to hold by chance" in text
    assert "The 3 that hold do so all together with confidence 99.20 %" in text
    assert "with confidence 90.00 %" in together([*map(comparison, [0.005] * 20)])
    assert "that hold do so" not in together([comparison(0.5)])
    assert text in markdown([chapter(*several[:2]), chapter(*several[2:])])


@pytest.fixture
def top_k_only(monkeypatch: pytest.MonkeyPatch) -> Reproduction:
    """The command line knows one small figure."""
    reproduction = small(thinned(TOP_K))
    monkeypatch.setattr("dataselect.commands.REPRODUCTIONS", {TOP_K.name: reproduction})
    return reproduction


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        dataselect.app(list(arguments))
    return int(ended.value.code or 0)


def test_a_figure_is_redrawn_from_its_results_and_failing_claims_end_with_1(
    tmp_path: Path,
    top_k_only: Reproduction,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / TOP_K.name
    reproduce(top_k_only, directory, full=False)
    for picture in directory.glob("*.p*"):
        picture.unlink()
    arguments = ["reproduce", "all", "--from-results", "--output", str(tmp_path)]
    monkeypatch.setattr("simulate.experiment.predict_all", None)  # nothing is computed

    def claims(holds: bool) -> None:
        stated = [Claim("the moon is cheese", "paper", "no", "theory", holds)]
        changed = dataclasses.replace(top_k_only, claims=lambda _: stated)
        monkeypatch.setattr("dataselect.commands.REPRODUCTIONS", {TOP_K.name: changed})

    claims(True)
    assert call(*arguments) == 0
    assert (directory / "top-k-failure.png").stat().st_size > 10_000
    assert "holds: the moon is cheese" in capsys.readouterr().out
    claims(False)
    assert call(*arguments) == 1
    assert "FAILS: the moon is cheese" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "the moon is cheese" in page
    sources = re.findall(r'src="(.{10})', page)
    assert sources == ["data:image"]  # self-contained
    anchors = re.findall(r'href="#([^"]+)"', page)
    assert anchors
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    text = (tmp_path / "report.md").read_text()
    shown = re.search(r"!\[(.*)\]\(top-k-failure/top-k-failure.png\)", text)
    assert shown
    assert shown[1].startswith("Keeping only the hardest fails where little is kept")
    assert "| 36.9" in text  # N/p
    assert "36.85" not in text


def test_report_shows_only_what_is_there(tmp_path: Path) -> None:
    write_report(tmp_path, [TOP_K])
    assert "0 of 0" in (tmp_path / "report.md").read_text()


def test_grid_problems_stand_in_the_order_of_the_labels() -> None:
    grid = TOP_K.experiment(False)
    labels = list(itertools.product(*TOP_K_AXES.values()))
    assert len(grid.problems) == len(labels)
    for k in (0, 1, 57, 118):
        model, size, scheme, fraction = labels[k]
        assert grid.problems[k].data == LABELS[model]
        assert grid.problems[k].samples_per_dimension == size
        assert grid.problems[k].selection == SCHEMES[scheme](fraction)


def test_theory_that_could_not_be_computed_agrees_with_nothing() -> None:
    missing = results()
    missing.theory_misclassification[0, 0] = np.nan
    claim = agreement_claim(missing)
    assert not claim.holds
    assert "1 points without theory" in claim.numbers


def test_a_common_shift_shows_in_the_mean_gap_though_in_no_single_point() -> None:
    noisy = results(gap=0.006, noise=0.001)
    own = np.random.default_rng(3).normal(size=noisy.simulation_misclassification.shape)
    noisy["simulation_misclassification"] = noisy.simulation_misclassification + 0.01 * own
    assert not agreement_claim(noisy).holds
    noisy["theory_misclassification"] = noisy.theory_misclassification + 0.006
    assert agreement_claim(noisy).holds


@pytest.mark.parametrize(
    ("name", "least", "others"),
    [
        ("top-k-failure", 7, 0),
        ("hard-vs-easy", 7, 0),
        ("unbiased-vs-biased", 7, 0),
        ("weak-vs-strong-surrogate", 7, 0),
        ("figure-7", 5, 2),
    ],
)
def test_theory_claims_hold_and_those_of_opposite_or_rough_errors_do_not(
    name: str, least: int, others: int
) -> None:
    """others: how many claims are of something else than errors."""
    reproduction = small(thinned(EXPERIMENTS[name]))
    found = run_experiment(reproduction.experiment(full=False))

    def theory_claims(values: xr.Dataset) -> list[Claim]:
        return [c for c in reproduction.claims(values) if c.basis.startswith("theory")]

    claims = theory_claims(found)
    assert len(claims) >= least
    assert all(claim.holds for claim in claims), [c for c in claims if not c.holds]
    opposite = found.assign(theory_misclassification=0.5 - found.theory_misclassification)
    differences = 3  # at most: claims that something changes little hold for opposite errors too
    assert sum(claim.holds for claim in theory_claims(opposite)) <= differences + others
    rough = found.assign(theory_error_estimate=found.theory_error_estimate + 0.5)
    assert sum(claim.holds for claim in theory_claims(rough)) == others


@pytest.mark.parametrize(("estimate", "holds"), [(1e-9, True), (0.006, False)])
def test_a_gain_survives_only_beyond_the_error_estimates(estimate: float, holds: bool) -> None:
    """Gains and losses of one point."""
    axes = beats_full_sample.AXES
    found = xr.Dataset(coords=axes)
    shape = tuple(map(len, axes.values()))
    errors = xr.DataArray(np.full(shape, 0.29), axes)
    lost = (found.ridge == "tuned") & (
        (found.scheme == "random")
        | ((found["data"] == "f1") & (found.samples_per_dimension == HIGH_DIMENSION))
    )
    errors = errors.where(~lost, 0.31).where(found.fraction < 1, 0.30)
    found["theory_misclassification"] = errors.transpose(*axes)
    for name, value in (("status", "CONVERGED"), ("residual", 0.0), ("error_estimate", estimate)):
        found[f"theory_{name}"] = (tuple(axes), np.full(shape, value))
    found["repeated"] = (tuple(axes), np.full(shape, False))
    first = (0,) * len(axes)
    dimension, values = np.zeros(shape, dtype=int), np.full((*shape, 2), np.nan)
    dimension[first], values[first] = 100, 1  # one simulation, of no point that is compared
    found["simulation_dimension"] = (tuple(axes), dimension)
    for name in ("misclassification", "converged"):
        found[f"simulation_{name}"] = ((*axes, "data_set"), values)
    *every, _ = beats_full_sample.FIGURE.claims(found)  # the last is of the simulation
    claims = [claim for claim in every if "optimal" not in claim.statement]  # it has its own errors
    assert len(claims) == len(beats_full_sample.SPOTS) + 3 == len(every) - 1
    assert [claim.holds for claim in claims] == [holds] * len(claims)


def finite_size_claims(slope: float, noise: float) -> list[Claim]:
    """Of simulations that are slope/p off the theory, with standard deviation noise/sqrt(p)."""
    axes = finite_size.AXES
    p = np.array(axes["dimension"])[:, None, None]
    shape = (p.size, len(axes["problem"]), 40)
    errors = 0.3 + slope / p + noise / p**0.5 * np.random.default_rng(2).normal(size=shape)
    dims = (*axes, "data_set")
    found = xr.Dataset(
        {
            "theory_misclassification": (dims[:2], np.full(shape[:2], 0.3)),
            "simulation_misclassification": (dims, errors),
            "simulation_converged": (dims, np.ones(shape)),
        },
        coords=axes,
    )
    return finite_size.FIGURE.claims(found)


@pytest.mark.parametrize(
    ("slope", "noise", "holds"),
    [
        (0.4, 0.01, [True, True]),
        (0.8, 0.01, [True, False]),
        (0.0, 0.3, [True, False]),
        (0.0, 2.0, [False, False]),
    ],
)
def test_finite_size_claims_do_not_hold_for_their_standard_errors(
    slope: float, noise: float, holds: list[bool]
) -> None:
    claims = finite_size_claims(slope, noise)
    assert [claim.holds for claim in claims] == holds
