"""A slice of the fuzz in benchmarks/fuzz.py."""

import pytest

from benchmarks.fuzz import fuzz


@pytest.mark.filterwarnings("error")
def test_random_inputs_work_or_are_refused_clearly() -> None:
    assert list(fuzz(90, seed=1)) == []
