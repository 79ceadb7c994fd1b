"""The phase diagram at a small size: parts that are kept, curves, the influence rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

from paper_repro.reproductions import phase_diagram
from paper_repro.reproductions.settings import LABELS
from paper_repro.reproductions.unbiased import InfluenceSelection
from theory import F2, SingleIndex
from theory.score import score_law


def test_finished_parts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []

    def work(part: Any) -> Mapping[str, Any]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(part)
        return invented(part)

    monkeypatch.setattr(phase_diagram, "work", work)
    with pytest.raises(KeyboardInterrupt):
        phase_diagram.FIGURE.compute(False, directory=tmp_path)
    monkeypatch.setattr(phase_diagram, "work", invented)
    first = phase_diagram.FIGURE.compute(False, directory=tmp_path)
    monkeypatch.setattr(phase_diagram, "work", work)  # would be interrupted
    again = phase_diagram.FIGURE.compute(False, directory=tmp_path)
    xr.testing.assert_identical(first, again)


def test_row_of_the_map_describes_its_optima() -> None:
    """At 70 % the hardest alone are best in low dimension, and something easier in high."""
    row = phase_diagram.work(phase_diagram.Row("f1", 0.7, (1.5, 3.0, 40.0)))
    best = np.min(row["schemes"], axis=0)
    assert np.all(np.array(row["optimum"]) <= best + 1e-12)
    assert max(row["gap"]) < 1e-8
    assert row["lower"][0] > row["lower"][1] > row["lower"][2] == 0
    assert row["hole"][0] > 0 > row["hole"][2]


def invented(part: Any) -> Mapping[str, Any]:
    """Numbers with the signs of the true ones."""
    if isinstance(part, phase_diagram.Boundary):
        numbers = dict.fromkeys(("gain_at_many", "ridge", "full_ridge"), 0.01)
        return {"root": 0.5 / part.size, "gain_at_few": -0.01, **numbers}
    size, g = np.array(part.sizes), part.fraction
    base = 0.2 + 0.01 / size
    schemes = [base + 0.03 * abs(g - k / 7) for k in range(7)]
    names = ("error", "gap")
    return {
        "schemes": [list(s) for s in schemes],
        "full_sample": list(base + 0.01),
        "optimum": list(base + 0.02 * (0.6 - g)),
        "lower": list(np.full(len(size), 1 - g)),
        "hole": list(0.6 - g + 0 * size),
        "far": list(g - 0.2 + 0 * size),
        **{name: [1e-12] * len(size) for name in names},
    }


def test_map_is_drawn_without_overlap() -> None:
    results = phase_diagram.assemble(False, [invented(p) for p in phase_diagram.parts(False)])
    assert results.sizes["samples_per_dimension"] == results.sizes["fraction"] == 14
    figure = phase_diagram.draw(results)["phase-diagram"]
    figure.canvas.draw()
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    for i, box in enumerate(boxes):
        assert box is not None
        assert not any(box.overlaps(other) for other in boxes[i + 1 :] if other is not None)
    plt.close("all")
    column = results.sel(labels="f1", samples_per_dimension=1.0)
    assert phase_diagram.crossing(column, "hole") == pytest.approx(0.6)
    assert set(phase_diagram.table(results)["hardest above γ"]) == {0.6}
    assert set(results.labels.values) == set(LABELS)


def test_influence_rule_keeps_its_fraction_and_follows_the_residual() -> None:
    data = SingleIndex(F2, 5.0)
    rule = InfluenceSelection(0.6, data, slope=1.5)
    score = data.true_score
    assert score is not None
    law = score_law(data, score)
    fitted = rule.law_rule(law)
    assert fitted.expected(law) == pytest.approx(0.6, abs=1e-12)
    t = np.array([1.0, 9.0, 20.0])
    f, p = data.label_probability(t / 5), expit(1.5 * t / 5)
    sizes = np.sqrt(f * (1 - p) ** 2 + (1 - f) * p**2)
    kept = fitted.probability(t)
    free = kept < 1
    assert free.sum() >= 2
    np.testing.assert_allclose(kept[free] / kept[free][0], sizes[free] / sizes[free][0])
    pool = rule.inclusion_probabilities(5 * np.random.default_rng(1).standard_normal(4000))
    assert pool.mean() == pytest.approx(0.6, abs=1e-12)
