"""SymPy: the first variation of rho derived, and linear regression on Gaussian features solved.

Nothing here is numerical, and nothing is shared with the numerical modules: they check each other.
"""

from dataclasses import dataclass

import sympy as sp

STEP = sp.Symbol("t", real=True)
DIMENSION, RADIUS, VARIANCE = sp.symbols("p r v", positive=True)
CONSTANT = sp.Symbol("c", positive=True)
ORDER = sp.Symbol("k", nonnegative=True)


def symmetric(name: str, size: int = 2) -> sp.Matrix:
    """A symmetric matrix of symbols."""
    return sp.Matrix(size, size, lambda i, j: sp.Symbol(f"{name}{min(i, j)}{max(i, j)}", real=True))


def rho(hessian: sp.Matrix, gradient: sp.Matrix, quadratic: sp.Matrix) -> sp.Expr:
    """Tr(G_S H_S^-1 Q H_S^-1).

    >>> rho(sp.Matrix([[2]]), sp.Matrix([[3]]), sp.Matrix([[1]]))
    3/4
    """
    a = hessian.inv()
    return sp.trace(gradient * a * quadratic * a)


def derived_variation(size: int = 2) -> sp.Expr:
    """-d rho/dt where H_pi, G_pi grow by t H, t G: differentiated, in the matrices' entries.

    >>> derived_variation(1)
    -G00*Q00/Hpi00**2 + 2*Gpi00*H00*Q00/Hpi00**3
    """
    h, g = symmetric("H", size), symmetric("G", size)
    moved = rho(symmetric("Hpi", size) + STEP * h, symmetric("Gpi", size) + STEP * g, _q(size))
    return sp.expand(-sp.diff(moved, STEP).subs(STEP, 0))


def printed_variation(size: int = 2) -> sp.Expr:
    """Z_pi = -Tr(G A Q A) + 2 Tr(H A Q A G_pi A), A = H_pi^-1, in the same entries.

    >>> printed_variation(1)
    -G00*Q00/Hpi00**2 + 2*Gpi00*H00*Q00/Hpi00**3
    """
    h, g = symmetric("H", size), symmetric("G", size)
    a = symmetric("Hpi", size).inv()
    aqa = a * _q(size) * a
    printed = -sp.trace(g * aqa) + 2 * sp.trace(h * aqa * symmetric("Gpi", size) * a)
    return sp.expand(printed)


def _q(size: int) -> sp.Matrix:
    return symmetric("Q", size)


def norm_moment_above(order: sp.Expr, dimension: sp.Expr, radius: sp.Expr) -> sp.Expr:
    """E[|x|^k; |x| > r] for x ~ N(0, I_p), from the density of the norm.

    >>> sp.simplify(norm_moment_above(sp.Integer(2), sp.Integer(2), RADIUS).rewrite(sp.exp))
    (r**2 + 2)*exp(-r**2/2)
    """
    half = (dimension + order) / 2
    above = sp.uppergamma(half, radius**2 / 2) / sp.gamma(dimension / 2)
    return sp.expand_func(2 ** (order / 2) * above)


@dataclass(frozen=True)
class LinearGaussian:
    """Least squares on N(0, I_p), noise of variance v, Q = I.

    Without reweighting the optimum keeps |x| > r: ``biased_fraction`` and ``biased_rho``, functions
    of r. Unbiased, pi = min(1, c |x|): ``unbiased_fraction`` and ``unbiased_rho``, functions of c.
    """

    biased_fraction: sp.Expr
    biased_rho: sp.Expr
    unbiased_fraction: sp.Expr
    unbiased_rho: sp.Expr


def linear_gaussian(dimension: sp.Expr = DIMENSION) -> LinearGaussian:
    """The closed forms: H = E[pi |x|^2]/p I = G/v, so that rho = v p^2 / E[pi |x|^2]; Z = v |x|^2.

    >>> solved = linear_gaussian(sp.Integer(2))
    >>> sp.simplify(solved.biased_rho / solved.biased_fraction.subs(RADIUS, 0))
    4*v*exp(r**2/2)/(r**2 + 2)
    """

    def above(order: int, radius: sp.Expr) -> sp.Expr:
        return norm_moment_above(sp.Integer(order), dimension, radius)

    def below(order: int, radius: sp.Expr) -> sp.Expr:
        return above(order, sp.Integer(0)) - above(order, radius)

    edge = 1 / CONSTANT
    return LinearGaussian(
        biased_fraction=above(0, RADIUS),
        biased_rho=VARIANCE * dimension**2 / above(2, RADIUS),
        unbiased_fraction=CONSTANT * below(1, edge) + above(0, edge),
        unbiased_rho=VARIANCE * (below(1, edge) / CONSTANT + above(2, edge)),
    )
