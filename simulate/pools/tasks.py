"""Data sets to try things on: scikit-learn's digits, and Fashion-MNIST from where it lies."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
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

IDX_BYTES = 0x08
"""The code of unsigned bytes in the header of an IDX file."""


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
        raise PoolError(
            f"{path} is missing: apt-get install dataset-fashion-mnist, or give the directory that"
            " holds the gzipped IDX files"
        )
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
