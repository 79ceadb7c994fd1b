"""SymPy: the stationarity equations derived from the Lagrangian, and the squared loss solved.

The Lagrangian is written per node, for one value of (h, G_s, G, y, S); expectations are carried
as symbols for the moments that occur. Nothing here is numerical, and nothing is shared with the
numerical solver: the two check each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

ALPHA_0, ALPHA_S, INTERCEPT = sp.symbols("alpha_0 alpha_s b", real=True)
ALPHA_PERP, MU, DELTA, RIDGE = sp.symbols("alpha_perp mu delta lambda", positive=True)
H, G_S, G = sp.symbols("h G_s G", real=True)
LABEL, V = sp.symbols("y v", real=True)
SCALE = sp.symbols("S", positive=True)

Z_0 = ALPHA_0 * H + ALPHA_S * G_S + INTERCEPT
Z = Z_0 + ALPHA_PERP * G


@dataclass(frozen=True)
class StationarityEquations:
    """Derivatives of the Lagrangian, each as (outside, inside): outside + E[inside] = 0.

    ``inside`` is written with r = mu (z - v).
    """

    alpha_0: tuple[sp.Expr, sp.Expr]
    alpha_s: tuple[sp.Expr, sp.Expr]
    intercept: tuple[sp.Expr, sp.Expr]
    alpha_perp: tuple[sp.Expr, sp.Expr]
    mu: tuple[sp.Expr, sp.Expr]

    def latex(self) -> str:
        """The equations as LaTeX, one a line.

        >>> print(stationarity_equations().latex().splitlines()[0])
        \\alpha_{0} \\lambda + \\mathbb{E}\\left[h r\\right] = 0
        """
        lines = []
        for outside, inside in vars(self).values():
            before = "" if outside == 0 else f"{sp.latex(outside)} + "
            lines.append(f"{before}\\mathbb{{E}}\\left[{sp.latex(inside)}\\right] = 0")
        return "\n".join(lines)


def stationarity_equations() -> StationarityEquations:
    """Differentiate the Lagrangian; v minimises its inner part and so drops out (envelope theorem).

    >>> stationarity_equations().intercept
    (0, r)
    """
    loss = sp.Function("ell")(V)
    outside = RIDGE / 2 * (ALPHA_0**2 + ALPHA_S**2 + ALPHA_PERP**2)
    outside -= MU * ALPHA_PERP**2 / (2 * DELTA)
    inside = SCALE * loss + MU / 2 * (Z - V) ** 2
    r = sp.Symbol("r", real=True)

    def derivative(parameter: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
        within = sp.diff(inside, parameter).subs(V, Z - r / MU)
        return sp.simplify(sp.diff(outside, parameter)), sp.simplify(within)

    return StationarityEquations(
        *(derivative(p) for p in (ALPHA_0, ALPHA_S, INTERCEPT, ALPHA_PERP, MU))
    )


@dataclass(frozen=True)
class SquaredLossSolution:
    """Closed form for the squared loss, in weighted moments of the explicit features.

    With w the effective weight of a sample (pi/(1 + 1/mu) biased, pi S/(1 + S/mu) reweighted):
    ``mu_equation`` vanishes at mu; ``coefficients`` are alpha_0 and alpha_s given the first
    moments m; ``alpha_perp_squared`` given the second ones, where Q = E[w^2 (z_0 - y)^2 / pi] and
    W = E[w^2 / pi].
    """

    mu_equation: sp.Expr
    mu_biased: sp.Expr
    coefficients: Mapping[sp.Symbol, sp.Expr]
    alpha_perp_squared: sp.Expr


M_W, M_HH, M_HS, M_SS, M_HY, M_SY = sp.symbols("m_w m_hh m_hs m_ss m_hy m_sy", real=True)
GAMMA = sp.symbols("gamma", positive=True)
SQUARED_ERROR, WEIGHT_SQUARED = sp.symbols("Q W", positive=True)


def squared_loss_solution() -> SquaredLossSolution:
    """Solve the stationarity equations for loss (y - v)^2 / 2, without intercept.

    The proximal point is linear, v = (z + eta y) / (1 + eta) with eta = S/mu, so that
    r = S (z - y) / (1 + eta); every expectation is a moment.

    >>> squared_loss_solution().mu_biased.subs({DELTA: 2, GAMMA: 1, RIDGE: 0})
    1
    """
    eta = sp.Symbol("eta", positive=True)
    (v,) = sp.solve(sp.diff(eta * (LABEL - V) ** 2 / 2 + (V - Z) ** 2 / 2, V), V)
    r = sp.simplify((MU * (Z - v)).subs(eta, SCALE / MU))
    # r = w (z - y) with w independent of y and of the noise; V = E[dr/dz] = E[w].
    weight = sp.simplify(r / (Z - LABEL))
    assert not weight.has(LABEL, G, H)
    mu_equation = MU - DELTA * (RIDGE + M_W)
    biased = weight.subs(SCALE, 1) * GAMMA
    roots = sp.solve(mu_equation.subs(M_W, biased), MU)
    (mu_biased,) = (root for root in roots if root.subs({DELTA: 2, GAMMA: 1, RIDGE: 1}) > 0)
    # lambda alpha + E[w (z_0 - y) x] = 0 for x = h, G_s; the noise averages out.
    first = RIDGE * ALPHA_0 + ALPHA_0 * M_HH + ALPHA_S * M_HS - M_HY
    second = RIDGE * ALPHA_S + ALPHA_0 * M_HS + ALPHA_S * M_SS - M_SY
    coefficients = sp.solve([first, second], [ALPHA_0, ALPHA_S])
    # alpha_perp^2 = (delta / mu^2) (Q + alpha_perp^2 W)
    square = sp.Symbol("a", positive=True)
    (alpha_perp_squared,) = sp.solve(
        square - DELTA / MU**2 * (SQUARED_ERROR + square * WEIGHT_SQUARED), square
    )
    return SquaredLossSolution(
        mu_equation, mu_biased, coefficients, sp.simplify(alpha_perp_squared)
    )
