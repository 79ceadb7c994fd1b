"""Comparisons of two points of a figure, in words written from their labels."""

from collections.abc import Mapping
from typing import Any

import xarray as xr

from paper_repro.claims import Claim, Source, beats

PREFIXES = {
    "labels": "",
    "data": "",
    "loss": "",
    "mixture": "",
    "samples_per_dimension": "N/p = ",
    "ridge": "ridge ",
    "weighting": "",
    "reuse": "",
    "scheme": "",
    "surrogate": "",
    "alpha": "α = ",
    "fraction": "γ = ",
    "fitted": "labels per dimension ",
}
"""What stands before a label, by its axis; in the order in which labels are named."""


def compared(
    results: xr.Dataset,
    source: Source,
    why: str,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> list[Claim]:
    """Claims of ``beats`` with the ``sentence`` of these points."""
    return beats(results, source, sentence(why, better, worse, names), better, worse)


def sentence(
    why: str,
    better: Mapping[str, Any],
    worse: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> str:
    """That one point beats the other: what they share, then what differs.

    why: how the sentence begins. names: other words for labels that are strings.

    >>> sentence("Less is more", {"ridge": 0.1, "fraction": 0.5}, {"ridge": 0.1, "fraction": 1.0})
    'Less is more: ridge 0.1: γ = 0.5 beats γ = 1'
    """
    shared = {axis: value for axis, value in better.items() if worse.get(axis) == value}
    sides = [
        in_words({axis: value for axis, value in side.items() if axis not in shared}, names)
        for side in (better, worse)
    ]
    beginning = f"{why}: {in_words(shared, names)}" if shared else why
    return f"{beginning}: {sides[0]} beats {sides[1]}"


def in_words(labels: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Labels of a point, numbers to three digits.

    >>> in_words({"alpha": -1.0, "samples_per_dimension": 34345 / 932})
    'N/p = 36.9, α = −1'
    """
    return ", ".join(
        prefix + _text(labels[axis], names or {})
        for axis, prefix in PREFIXES.items()
        if axis in labels
    )


def _text(value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return names.get(value, value)
    return f"{value:.3g}".replace("-", "−")
