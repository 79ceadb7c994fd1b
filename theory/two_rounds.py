"""Two rounds: the labels that trained the surrogate are used again by the final fit.

Sample A, N_A = delta_A p labels bought at random, trains theta_1 (loss l_1, ridge lambda_1 relative
to N_A). A fresh pool B, N_B = delta_B p, is scored by t = <theta_1, x> + b_1 and kept with pi(t),
S = 1 or 1/pi. The final fit, with N = N_A + N_B and w the weight of the first sample, is

    theta_2 = argmin (1/N) [w sum_A l_2 + sum_B S l_2] + (lambda_2/2) |theta|^2.

On A the fit knows its own past. With G_1 and G standard normal and (alpha_1, rho_1,
chi_11 = 1/mu_1) of the first fit alone, margins (outputs times y) are

    s_1 = y (alpha_1 h + b_1) + rho_1 G_1,   s_2 = y (alpha_2 h + b_2) + beta G_1 + alpha_perp G
    A:  v_1 = s_1 - chi_11 r_1,  v_2 = s_2 - chi_21 r_1 - chi_22 r_2,  r_1 = l_1'(v_1),
        r_2 = w l_2'(v_2)
    B:  v_2 = s_2 - chi_22 r_2,  r_2 = S l_2'(v_2),                                  t = y s_1

With X_A = delta_A E_A, X_B = delta_B E_B (with pi), delta = delta_A + delta_B, k_ab = dr_a/ds_b:

    chi_22 = 1/(delta lambda_2 + X_A k_22 + X_B k_22)                                        (1)
    chi_21 = -chi_11 chi_22 (X_A k_21 + X_B k_21)                                            (2)
        on A k_21 = -chi_21 k_11 k_22, on B E k_21 = (E[r_2 G_1] - beta E k_22)/rho_1
    [[rho_1^2, rho_1 beta], [rho_1 beta, beta^2 + alpha_perp^2]] = chi M chi^T               (3)
        M_ab = X_A r_a r_b + X_B r_a r_b, chi lower triangular
    delta lambda_2 alpha_2 + X_A[r_2 y h] + X_B[r_2 y h] = 0                                 (4)
    X_A[r_2 y] + X_B[r_2 y] = 0                                   (only with an intercept)   (5)

and the fit's own stationarity along theta_1, and along itself, gives two more:

    delta lambda_2 rho_1 beta + X_A[r_2 (v_1 - y (alpha_1 h + b_1))] + X_B[r_2 rho_1 G_1] = 0 (6)
    delta lambda_2 |theta_2|^2 + X_A[r_2 v_2] + X_B[r_2 v_2] = 0                             (7)

They are those of one round with one more feature. Let m = y (s_1 - v_1) / rho_1, the memory: how
far the first fit has moved the output of its own sample; X_A m^2 = 1 by (3). On A replace
G_s = y G_1 by G_s - m, what is left once the first fit has seen the sample, and let
kappa_m = beta - chi_21 rho_1 / chi_11 be the coefficient on m:

    y (s_2 - chi_21 r_1) = alpha_2 h + beta (G_s - m) + b_2 + kappa_m m + alpha_perp G.

Then (1), (3), (4), (5) and (6) say that

    (lambda_2/2) (alpha_2^2 + beta^2 + alpha_perp^2) - mu (alpha_perp^2 + kappa_m^2) / (2 delta)
        + E min_v [ S l_2(v) + (mu/2) (z - v)^2 ],     E = (X_A + X_B)/delta,  S = w on A,

is stationary in all of its arguments, mu = 1/chi_22: the Lagrangian of `theory.saddle`, with its
Hessian, solver and quadrature. It is concave in kappa_m, as k_22 <= mu. The solver does not use (2)
and (7), which are checks of every solution.

For w -> 0, kappa_m -> 0 and this becomes one round with N = N_B and the ridge lambda_2 N/N_B. A
problem with reuse = 0 is one round with the ridge lambda_2 itself, as N is then the pool's.
Source: derived here; for mixtures see Cui and Lu, arXiv 2601.23031.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.features import Features
from theory.kinds import Training
from theory.labels import LabelCurve
from theory.losses import Loss, response
from theory.nodes import (
    Geometry,
    Integrand,
    Nodes,
    Panels,
    Recall,
    geometry_of,
    integrand,
    one_if_equal,
)
from theory.noise import OrderParameters
from theory.problem import Problem
from theory.saddle import Moments, Setting
from theory.score import Rule, Score

Array = NDArray[np.float64]


class Memory(NamedTuple):
    """The first fit as its own samples know it.

    loss, mu: l_1 and 1/chi_11. rho: rho_1 = beta_s of the score. weight: w.
    """

    loss: Loss
    mu: float
    rho: float
    weight: float

    def recalled(self, margin: Array) -> tuple[Array, Array]:
        """(s_1 - v_1)/rho_1 and k_11 at margins s_1."""
        gap, contraction = response(self.loss, margin, 1 / self.mu)
        return np.asarray(gap) / self.rho, self.mu * np.asarray(contraction)

    def marks(self, label: int) -> Rule:
        """Keeps everything, with edges at the scores where the first fit's proximal map has kinks
        and, if it is smooth, around those between which it bends."""
        eta = np.array(1 / self.mu)
        kinks = tuple(label * float(k) for k in self.loss.kinks(eta))
        width = self.loss.strip or self.loss.bend_width
        bends: list[tuple[float, float]] = []
        if np.isfinite(width):
            far = float(np.log1p(eta))
            bends = [(label * t, width) for t in (far, -far - float(eta))]
        return Rule(np.ones_like, kinks, tuple(bends))


class TwoRounds(NamedTuple):
    """The outer integral of a final fit to the surrogate's samples and to selected ones.

    pool: of the second round. first: of the surrogate's samples, for labels +1 and -1.
    shares: N_A/N and N_B/N. score: of the surrogate.
    Components are those of the pool, then those of the first sample for label +1, then for -1.
    """

    pool: Integrand
    first: tuple[Integrand, Integrand]
    memory: Memory
    shares: tuple[float, float]
    score: Score

    @property
    def geometry(self) -> Geometry:
        """Features of the final fit."""
        own = self.pool.geometry
        return own._replace(
            features=Features(True, own.features.has_intercept, has_memory=True),
            hidden=np.append(own.hidden, 0.0),
        )

    @property
    def fraction(self) -> float | None:
        """What the selection says that it keeps of the pool, or None."""
        return self.pool.fraction

    @property
    def curves(self) -> tuple[LabelCurve, ...]:
        """Label probabilities of all components."""
        return self.pool.curves + 2 * self.first[0].curves

    def _parts(self) -> list[tuple[Integrand, int, int]]:
        """Every round's integral with its label (0 for both) and its first component."""
        after = len(self.pool.curves)
        (plus, minus), more = self.first, len(self.first[0].curves)
        return [(self.pool, 0, 0), (plus, 1, after), (minus, -1, after + more)]

    def panels(self) -> Panels:
        """The first panels of all rounds."""
        found = [(part.panels(), first) for part, _, first in self._parts()]
        return Panels(
            np.concatenate([panels.component + first for panels, first in found]),
            np.concatenate([panels.left for panels, _ in found]),
            np.concatenate([panels.right for panels, _ in found]),
        )

    def nodes(self, panels: Panels, order: int) -> Nodes:
        """Nodes of all rounds, [panels, order] flattened."""
        geometry = self.geometry
        n, d = len(panels.component) * order, len(geometry.hidden)
        component, known = np.empty(n, dtype=np.int64), np.zeros((n, d))
        weight, scale = np.empty(n), np.ones((n, 1))
        label, slope = np.empty(n), np.zeros(n)
        for part, own, first in self._parts():
            last = first + len(part.curves)
            mine = (first <= panels.component) & (panels.component < last)
            nodes = part.nodes(
                Panels(panels.component[mine] - first, panels.left[mine], panels.right[mine]), order
            )
            at = np.repeat(mine, order)
            component[at] = nodes.component + first
            known[at, : d - 1] = nodes.known
            weight[at] = nodes.weight * self.shares[own == 0]
            scale[at] = nodes.scale if own == 0 else self.memory.weight
            label[at] = own
            if own:
                gap, slope[at] = self.memory.recalled(own * self._score(nodes))
                known[at, geometry.features.position("s")] -= own * gap
                known[at, -1] = own * gap
        return Nodes(
            component, known, geometry.hidden, weight, one_if_equal(scale), Recall(label, slope)
        )

    def _score(self, nodes: Nodes) -> Array:
        """t at nodes of the first sample; the hidden coordinate does not change it."""
        s = nodes.known[:, self.pool.geometry.features.position("s")]
        return self.score.beta_0 * nodes.h + self.score.beta_s * s + self.score.intercept

    def selected(self, nodes: Nodes) -> float:
        """E[pi] over the pool."""
        assert nodes.recall is not None
        return float(nodes.weight[nodes.recall.label == 0].sum() / self.shares[1])

    def chi_21(self, x: OrderParameters) -> float:
        """chi_21 = (beta - kappa_m) chi_11 / rho_1."""
        beta, kappa = x.coefficients[[1, -1]]
        return float((beta - kappa) / (self.memory.mu * self.memory.rho))

    def unused(self, x: OrderParameters, m: Moments, setting: Setting) -> Array:
        """Equations (2) and (7), which the solver does not use: left minus right sides, over delta
        and, of (2), times rho_1."""
        assert m.rounds is not None
        beta, chi_21 = x.coefficients[1], self.chi_21(x)
        on_pool = m.rounds.pool_slopes[1] - beta * m.rounds.pool_curvature
        inverse = x.mu * self.memory.mu / setting.samples_per_dimension  # 1/(chi_11 chi_22 delta)
        memory = self.memory.rho * chi_21 * (inverse - m.rounds.recalled)
        penalty = float(setting.penalty @ x.coefficients**2) + setting.ridge * x.alpha_perp**2
        of_fit = m.rounds.along_output - m.slope_squared / x.mu
        return np.array([memory + on_pool, penalty + of_fit])


def two_rounds(problem: Problem, training: Training, score: Score, mu: float) -> TwoRounds:
    """The outer integral of a problem whose surrogate's training is used again.

    score, mu: of the solved training. Raises EmptySelectionError.
    """
    pool = integrand(problem, score)
    memory = Memory(training.loss, mu, score.beta_s, training.reuse)
    data = training.data
    first = Integrand(
        geometry_of(data, pool.geometry.features, score),
        memory.marks(1),
        data.label_curves,
        np.array(data.weights),
        weigh=None,
        fraction=1.0,
    )
    bought, offered = training.samples_per_dimension, problem.samples_per_dimension
    shares = bought / (bought + offered), offered / (bought + offered)
    return TwoRounds(pool, (first, first._replace(rule=memory.marks(-1))), memory, shares, score)


def two_rounds_setting(problem: Problem, training: Training, features: Features) -> Setting:
    """Numbers of the equations: N = N_A + N_B, and the memory counts as noise."""
    return Setting(
        features.penalty(problem.ridge),
        problem.ridge,
        training.samples_per_dimension + problem.samples_per_dimension,
        features.stack(h=0.0, s=0.0, intercept=0.0, memory=1.0),
    )
