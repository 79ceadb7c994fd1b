"""Flights from New York in 2013, late on arrival or not: a table with text and heavy tails.

10,000 labelled flights (4,000 in quick mode) are set apart for the theory; every repeat splits the
others anew into surrogate, test and pool part.
"""

from functools import partial

import xarray as xr

from paper_repro.claims import Claim
from paper_repro.reproduction import OwnReproduction, Run
from paper_repro.reproductions.real_data import (
    NEEDED,
    RealTask,
    Scale,
    agreement_claims,
    compute_task,
    draw_task,
    paired_claims,
    shared_tests,
    table,
)
from simulate.pools import load_flights_task
from simulate.pools.tasks import flights_absent

NAME = "real-tabular"
SHOWS = "a table of flights: few columns, many rows, and what a label is worth there"

MATCHES = 0.5
"""Points of misclassification by which a subset may err more and still match all labels."""

TASK = RealTask(
    title="Flights from New York, late on arrival or not: which labels to buy",
    features="delay at departure, route, month and hour",
    load=load_flights_task,
    test=5000,
    ridge=0.001,
    seed=13,
    ticks=(9, 10, 12, 15, 20, 25),
)

SCALES = {
    False: Scale((2048,), (0.1, 0.3, 0.6, 1.0), repeats=20, pilot=4000, draws=2),
    True: Scale(
        (2048, 16384),
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
        repeats=40,
        pilot=10_000,
        draws=4,
    ),
}


def _run(run: Run) -> xr.Dataset:
    return compute_task(TASK, run, SCALES[run.full])


def claims(results: xr.Dataset) -> list[Claim]:
    """What the largest pool shows, by paired tests, and how the theory agrees."""
    return [*paired_claims(results, MATCHES, shared_tests()), *agreement_claims(results)]


FIGURE = OwnReproduction(
    name=NAME,
    title=TASK.title,
    shows=SHOWS,
    minutes=(1, 10),
    run=_run,
    draw=partial(draw_task, TASK, NAME),
    table=table,
    claims=claims,
    needs=NEEDED,
    absent=flights_absent,
)
