"""From an uploaded file to the pilot in it."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.pools.pilot import read_pilot


def read_upload(
    name: str, contents: bytes, labels: str, positive: str
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Features and labels of an uploaded file, as ``read_pilot`` gives and refuses them.

    name: of the file, whose ending says its format. positive: empty for labels of all classes.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(contents)
        return read_pilot(path, labels, positive or None)
