"""The figure of split budgets, on a few shares and a small simulation."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from paper_repro.reproduction import Run
from paper_repro.reproductions import budget_split
from tests.test_reproduction import assert_nothing_overlaps
from theory import predict


def test_curves_points_and_best_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_split, "SHARES", (0.5,))
    monkeypatch.setattr(budget_split, "SIMULATED", (0.5,))
    data = {name: budget_split.DATA[name] for name in ("f1", "mixture")}
    monkeypatch.setattr(budget_split, "DATA", data)
    monkeypatch.setattr(budget_split, "POOLS", (10.0,))
    monkeypatch.setattr(budget_split, "BUDGETS", {False: (3.0,)})
    monkeypatch.setattr(budget_split, "SIZE", {False: (40, 12)})
    results = budget_split.compute(Run(full=False, seed=1))
    at = {"data": "mixture", "tuning": "ridge 0.01", "scheme": "α = 1", "share": 0.5}
    alone = predict(budget_split.split_problem("mixture", "α = 1", 0.5, 3.0, 10.0))
    assert float(results.error.sel(at)) == pytest.approx(alone.misclassification, abs=1e-10)
    random = results.at_random.sel(tuning="ridge 0.01")  # one round, whatever the scheme
    np.testing.assert_allclose(random.std("scheme"), 0, atol=1e-10)
    tuned, fixed = results.error.sel(tuning="best ridge"), results.error.sel(tuning="ridge 0.01")
    assert (tuned <= fixed + 1e-9).all()
    assert results.simulated.notnull().sum() == 8
    claims = budget_split.claims(results)
    assert all(claim.holds for claim in claims), [c for c in claims if not c.holds]
    wrong = results.assign(error=results.error + 0.1, gain=-results.gain)
    assert sum(claim.holds for claim in budget_split.claims(wrong)) <= 2
    assert len(budget_split.table(results)) == 2
    for picture in budget_split.draw(results).values():
        assert_nothing_overlaps(picture)
    plt.close("all")
