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
    beats,
    compute_task,
    draw_task,
    power_label,
    table,
)
from simulate.pools import load_fashion_mnist
from simulate.pools.tasks import fashion_mnist_absent

NAME = "real-fashion"
SHOWS = "real data: theory from a labelled pilot meets experiments, scheme by scheme"
FEATURES = 256

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
    False: Scale((4096,), (0.1, 0.3, 0.6, 1.0), repeats=10, pilot=4000, draws=1),
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
    return agreement_claims(results)


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
