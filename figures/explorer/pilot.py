"""From an uploaded file to the advice for its pool."""

import tempfile
from pathlib import Path

from simulate.pools import Pool, Standardise, read_pool
from simulate.pools.advice import Advice, advise


def read_upload(name: str, contents: bytes, labels: str, positive: str) -> Pool:
    """The labelled samples of an uploaded file, without constant columns.

    name: of the file, whose ending says its format. labels, positive: as in ``read_pool``; empty
    for the larger of two. Raises PoolError as that does.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(contents)
        return read_pool(path, labels, positive or None).without_constant_columns()


def advise_on(pool: Pool, pool_size: int, fraction: float) -> Advice:
    """The advice for a pool of ``pool_size`` samples like these, a fraction of it to label."""
    features = Standardise().fit(pool.features)(pool.features)
    return advise(features, pool.labels, pool_size, fraction=fraction)


def in_words(advice: Advice) -> str:
    """The advice in a few lines of Markdown."""
    gains = {"random choice": advice.over_random, "the hardest": advice.over_uncertainty}
    lines = [
        f"Select by `{advice.selection}` and fit with ridge {advice.ridge:g}: test error"
        f" {advice.misclassification:.2%} ± {advice.sampling_error:.2%}.",
        *(
            f"Gain over {name}: {100 * gain.mean:.2f} ± {100 * gain.standard_error:.2f} points."
            for name, gain in gains.items()
        ),
    ]
    if advice.caution:
        lines.append(f"**Caution**: {advice.caution}.")
    return "\n\n".join(lines)
