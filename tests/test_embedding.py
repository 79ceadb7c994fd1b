"""Features of images: sources, order, bad images, going on. The network itself needs torch."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dataselect import command_line
from simulate.files import StoreError
from simulate.pools import MissingPackageError, PoolError
from simulate.pools.embedding import DEVIATION, MEAN, embed, make_network

Images = NDArray[np.float32]


def channel_means(images: Images) -> Images:
    """A network that everybody can check."""
    return np.asarray(images.mean(axis=(2, 3)), dtype=np.float32)


def normal(value: float) -> Any:
    return (value / 255 - np.array(MEAN)) / np.array(DEVIATION)


def test_a_folder_of_mixed_images_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    Image.new("L", (50, 31), 100).save(folder / "b.png")
    Image.new("RGB", (400, 200), (10, 20, 30)).save(folder / "a.jpg", quality=100)
    Image.new("RGBA", (96, 96), (7, 7, 7, 255)).save(folder / "sub" / "c.png")
    (folder / "readme.txt").write_text("no image")
    done = embed(folder, tmp_path / "f.npz", channel_means, batch=2)
    assert (done.images, done.dimension, done.left_out) == (3, 3, ())
    with np.load(tmp_path / "f.npz") as found:
        assert found["name"].tolist() == ["a.jpg", "b.png", "sub/c.png"]
        assert found["row"].tolist() == [0, 1, 2]
        np.testing.assert_allclose(found["features"][1], normal(100), atol=1e-5)
        np.testing.assert_allclose(found["features"][2], normal(7), atol=1e-5)
        expected = (np.array([10, 20, 30]) / 255 - MEAN) / DEVIATION
        np.testing.assert_allclose(found["features"][0], expected, atol=0.03)  # JPEG


def test_idx_and_npz_give_the_same(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    header = struct.pack(">HBB3I", 0, 8, 3, *pixels.shape)
    (tmp_path / "images.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    np.savez(tmp_path / "grey.npz", images=pixels)
    np.savez(tmp_path / "rgb.npz", images=np.repeat(pixels[..., None], 3, axis=3))
    np.savez(tmp_path / "floats.npz", images=pixels / 255)
    found = []
    for name in ("images.gz", "grey.npz", "rgb.npz", "floats.npz"):
        embed(tmp_path / name, tmp_path / f"{name}-out.npz", channel_means, batch=2)
        with np.load(tmp_path / f"{name}-out.npz") as content:
            found.append(content["features"])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_images_that_cannot_be_decoded_are_named_or_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        Image.new("RGB", (40, 40), (9, 9, 9)).save(folder / name)
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:60])
    with pytest.raises(PoolError, match=r"b\.png cannot be decoded .*--skip-bad-images"):
        embed(folder, tmp_path / "f.npz", channel_means)
    done = embed(folder, tmp_path / "f.npz", channel_means, skip_bad_images=True)
    assert (done.images, done.left_out) == (2, ("b.png",))
    with np.load(tmp_path / "f.npz") as found:
        assert found["row"].tolist() == [0, 2]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 40, 40, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    seen: list[int] = []

    def network(images: Images) -> Images:
        seen.append(len(images))
        return channel_means(images)

    def stop(done: int, total: int | None) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path / "images.npz", tmp_path / "f.npz", network, batch=3, progress=stop)
    with pytest.raises(StoreError, match="differs in size"):
        embed(tmp_path / "images.npz", tmp_path / "f.npz", network, size=64)
    seen.clear()
    embed(tmp_path / "images.npz", tmp_path / "f.npz", network, batch=3)
    assert seen == [1, 3, 1]  # the first measures the number of features
    embed(tmp_path / "images.npz", tmp_path / "whole.npz", channel_means)
    with np.load(tmp_path / "f.npz") as found, np.load(tmp_path / "whole.npz") as whole:
        np.testing.assert_array_equal(found["features"], whole["features"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((2, 4, 4))}, "no readable array 'images'"),
        ({"images": np.zeros((2, 4))}, r"holds shape \(2, 4\)"),
        ({"images": np.full((2, 4, 4), 2.0)}, r"must lie in \[0, 1\]"),
        ({"images": np.zeros((2, 4, 4), dtype=np.int64)}, "are of int64"),
    ],
)
def test_bad_arrays_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", **arrays)
    with pytest.raises(PoolError, match=message):
        embed(tmp_path / "images.npz", tmp_path / "f.npz", channel_means)


def test_without_torch_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 40, 40), dtype=np.uint8))
    arguments = [str(tmp_path / "images.npz"), "-o", str(tmp_path / "f.npz")]
    monkeypatch.setattr(sys, "argv", ["dataselect", "embed", *arguments])
    with pytest.raises(SystemExit, match="2"):
        command_line.main()
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(MissingPackageError, match=r"pip install 'data-selection-theory\[embed\]'"):
        make_network("efficientnet_lite0")


def test_nothing_else_imports_torch() -> None:
    code = (
        "import sys; import dataselect.commands, simulate.pools.selector,"
        " simulate.pools.stream_pilot, simulate.pools.embedding; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_default_network_gives_1280_features(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    assert embed(tmp_path / "images.npz", tmp_path / "f.npz").dimension == 1280
    with np.load(tmp_path / "f.npz") as found:
        assert found["features"].std(axis=0).max() > 0
