"""Problems that several tests share."""

import numpy as np
from numpy.typing import NDArray

from theory import F1, F2, PowerSelection, Problem, SingleIndex

Array = NDArray[np.float64]

DELTA = 6870 / 3000


def power_problem(
    link: object = F1,
    alpha: float = 0.5,
    fraction: float = 0.5,
    ridge: float = 0.01,
    **changes: object,
) -> Problem:
    """The paper's figure-2 problem with the given scheme, and any other field by dotted name."""
    problem = Problem(
        data=SingleIndex(link, signal_norm=5.0),  # type: ignore[arg-type]
        selection=PowerSelection(alpha=alpha, fraction=fraction),
        ridge=ridge,
        samples_per_dimension=DELTA,
    )
    return problem.replace({name.replace("__", "."): value for name, value in changes.items()})


NOISY_STEP = SingleIndex(F1, signal_norm=5.0)


def labelled_sample(n: int, p: int, seed: int = 0) -> tuple[Array, Array]:
    """Isotropic features, shape [n, p], and labels of f1 along the first."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, p))
    positive = generator.random(n) < NOISY_STEP.label_probability(x[:, 0])
    return x, np.where(positive, 1.0, -1.0)


BOTH_LINKS = {"f1": F1, "f2": F2}
