"""Fashion-MNIST, shirts against four other tops: which labels to buy, and theory beforehand.

256 random ReLU features (random, not learned) of 100 whitened principal components. 10,000 labelled
images (4,000 in quick mode) are set apart for the theory; every repeat splits the other images
anew into surrogate, test and pool part. More features, such as 2,048, would take hours: a fit costs
as the square of their number, a prediction as the cube.
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
    power_label,
    shared_tests,
    table,
)
from simulate.pools import load_fashion_mnist
from simulate.pools.tasks import fashion_mnist_absent

NAME = "real-fashion"
SHOWS = "real data: theory from a labelled pilot meets experiments, scheme by scheme"
FEATURES = 256
MATCHES = 0.1
"""Points of misclassification by which a subset may err more and still match all labels."""

TASK = RealTask(
    title="Fashion-MNIST, shirts against four other tops: which labels to buy",
    features=f"{FEATURES} random ReLU features",
    load=partial(load_fashion_mnist, random_features=FEATURES),
    test=5000,
    ridge=0.01,
    seed=12,
    ticks=(14, 16, 18, 20, 25, 30, 40),
)

SCALES = {
    False: Scale((4096,), (0.1, 0.3, 0.6, 1.0), repeats=20, pilot=4000, draws=1),
    True: Scale(
        (1024, 4096, 16384),
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
        repeats=20,
        pilot=10_000,
        draws=2,
    ),
}


def _run(run: Run) -> xr.Dataset:
    return compute_task(TASK, run, SCALES[run.full])


def claims(results: xr.Dataset) -> list[Claim]:
    """What the largest pool shows, by paired tests, and how the theory agrees."""
    hard, moderate = power_label(1.0, False), power_label(0.5, False)
    tests = (
        (
            "60 % of the labels by α = 1, and 20 % for the surrogate, beat all of them",
            ("20 %", hard, 0.6),
            ("20 %", "random", 1.0),
            0.0,
        ),
        (
            "60 % of the labels by α = 0.5, and 4 % for the surrogate, do as well as all, to"
            f" {MATCHES} points",
            ("4 %", moderate, 0.6),
            ("4 %", "random", 1.0),
            MATCHES,
        ),
        *shared_tests(),
    )
    return [*paired_claims(results, MATCHES, tests), *agreement_claims(results)]


FIGURE = OwnReproduction(
    name=NAME,
    title=TASK.title,
    shows=SHOWS,
    minutes=(2, 40),
    run=_run,
    draw=partial(draw_task, TASK, NAME),
    table=table,
    claims=claims,
    needs=NEEDED,
    absent=fashion_mnist_absent,
)
