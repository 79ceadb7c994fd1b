"""Problems that several tests share."""

from theory import F1, F2, PowerSelection, Problem, SingleIndex

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


BOTH_LINKS = {"f1": F1, "f2": F2}
