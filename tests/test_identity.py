"""What a stored result depends on: values, and the code of a user's kinds."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulate import Plan, StoreError, estimate, estimate_all, run
from simulate.running import store as stores
from simulate.running.identity import identity
from tests.problems import power_problem
from theory import F2, Loss, SmoothedHingeLoss, SquaredLoss, TrainedSurrogate


def shifted_loss(margin: float) -> Loss:
    """A squared loss around another margin, known only to the closure."""

    @dataclass(frozen=True)
    class ShiftedLoss(SquaredLoss):
        def value(self, m: Any) -> Any:
            return (margin - m) ** 2 / 2

        def slope(self, m: Any) -> Any:
            return m - margin

        def prox(self, m: Any, eta: Any) -> Any:
            return (m + margin * eta) / (1 + eta)

    return ShiftedLoss()


class OrdinaryLoss(SquaredLoss):
    """No dataclass: its repr holds an address."""

    def __init__(self, width: float) -> None:
        object.__setattr__(self, "width", width)

    def __repr__(self) -> str:
        return object.__repr__(self)

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def of(loss: Loss) -> str:
    return identity(power_problem(loss=loss))


def test_every_value_counts_and_equal_problems_are_one() -> None:
    base = power_problem()
    assert identity(base) == identity(power_problem())
    changed = [
        base.replace({"selection.alpha": 0.25}),
        base.replace({"selection.reweight": True}),
        base.replace({"surrogate": TrainedSurrogate(4, 0.1)}),
        base.replace({"fit_intercept": True}),
        base.replace({"data.link": F2}),
        base.replace({"ridge": float(np.nextafter(base.ridge, 1))}),
    ]
    assert len({identity(p) for p in [base, *changed]}) == 7
    assert identity(base.replace({"selection.alpha": 0.0})) == identity(
        base.replace({"selection.alpha": -0.0})
    )


@pytest.mark.fault(number=2)
def test_a_closure_and_the_state_of_an_ordinary_class_count() -> None:
    assert repr(shifted_loss(1.0)) == repr(shifted_loss(2.0))
    assert of(shifted_loss(1.0)) == of(shifted_loss(1.0)) != of(shifted_loss(2.0))
    assert of(OrdinaryLoss(1.0)) == of(OrdinaryLoss(1.0)) != of(OrdinaryLoss(2.0))


MODULE = """
from dataclasses import dataclass
from theory import SquaredLoss
TARGET = {target}
def pull(m):
    return {pull}
@dataclass(frozen=True)
class MyLoss(SquaredLoss):
    def slope(self, margin):
        return pull(margin)
    def unused(self):
        return {unused}
"""


@pytest.mark.fault(number=2)
def test_the_code_of_a_users_kind_counts_with_what_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    codes = [("1.0", "m - TARGET", "0"), ("2.0", "m - TARGET", "0"), ("1.0", "m - 1", "0")]
    for k, (target, pull, unused) in enumerate([*codes, codes[0], ("1.0", "m - TARGET", "1")]):
        name = f"identity_of_kind_{k}"
        text = MODULE.format(target=target, pull=pull, unused=unused)
        (tmp_path / f"{name}.py").write_text(text)
        invalidate_caches()
        found.append(of(import_module(name).MyLoss()))
        del sys.modules[name]
    assert found[0] == found[3]  # the same code in another module
    assert len(set(found)) == 4


@pytest.mark.fault(number=2)
def test_code_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    space: dict[str, Any] = {"__name__": "typed_in"}
    exec(MODULE.format(target="1.0", pull="m - TARGET", unused="0"), space)
    with pytest.raises(StoreError, match=r"source of .* cannot be read.*run without a store"):
        run(Plan((power_problem(loss=space["MyLoss"]()),), (20,), 1), tmp_path)


@pytest.mark.fault(number=2)
def test_losses_of_one_factory_are_fitted_apart() -> None:
    problems = [power_problem(loss=shifted_loss(m), ridge=0.1) for m in (1.0, 3.0)]
    together = [e.alpha_0.mean for e in estimate_all(problems, 30, 2, seed=1)]
    alone = [estimate(p, 30, 2, seed=1).alpha_0.mean for p in problems]
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    # The squared loss around a margin m is m^2 times that around 1, of theta / m.
    assert together[1] == pytest.approx(3 * together[0], rel=1e-6)


@pytest.mark.fault(number=2)
@pytest.mark.parametrize("make", [shifted_loss, OrdinaryLoss])
def test_a_users_loss_resumes(tmp_path: Path, make: Callable[[float], Loss]) -> None:
    first = run(Plan((power_problem(loss=make(1.0)),), (20,), 2), tmp_path)
    plan = Plan((power_problem(loss=make(1.0)),), (20,), 2)
    with stores.open_store(tmp_path, plan) as kept:
        assert len(kept.finished()) == 2
    assert np.array_equal(run(plan, tmp_path), first)
    with pytest.raises(StoreError, match="differs"):
        run(Plan((power_problem(loss=make(2.0)),), (20,), 2), tmp_path)


@pytest.mark.fault(number=2)
def test_a_changed_code_is_named(tmp_path: Path) -> None:
    run(Plan((power_problem(loss=shifted_loss(1.0)),), (20,), 1), tmp_path)
    with pytest.raises(StoreError, match="the code of its problems differs"):
        run(Plan((power_problem(loss=shifted_loss(2.0)),), (20,), 1), tmp_path)


def test_a_store_of_other_numerics_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan((power_problem(loss=SmoothedHingeLoss(1.0)),), (20,), 1)
    run(plan, tmp_path)
    monkeypatch.setattr(stores, "NUMERICS", 10**6)
    with pytest.raises(StoreError, match=r"another version of the numerics \(1, now 1000000\)"):
        run(plan, tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="another plan"):
        run(plan, tmp_path)


def test_a_store_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"digest": "0", "seed": 0}')
    with pytest.raises(StoreError, match=r"numerics \(unknown, now"):
        run(Plan((power_problem(),), (20,), 1), tmp_path)
