"""The list of faults: situations that broke neighbouring software, or this one once.

Every entry is a kind of fault; its tests carry ``@pytest.mark.fault(number=N)``, and
``pytest -m "fault(number=6)"`` runs those of one entry.
"""

import re
from pathlib import Path

FAULTS = {
    1: "constants called a disagreement: exact equality of floats that decides",
    2: "identity by repr: grouping, caching and storing by text",
    3: "underflow to NaN in the power rule; rules that miss their fraction",
    4: "whole numbers that become doubles",
    5: "a coordinate swallows a result of its name",
    6: "pictures that mislead: order, single values, what cannot be drawn",
    7: "global settings left behind, in threads too",
    8: "hinge at many samples per dimension",
    9: "reweighted without clip",
    10: "mixtures far apart",
    11: "double precision switched off",
    12: "executors that never answer",
    13: "the backend of a notebook",
    14: "no home",
    15: "output that is not UTF-8",
    16: "names read as markup or formulas",
    17: "clusters that lose workers or their scheduler",
    18: "cores that are granted",
    19: "programs that workers cannot import",
    20: "axes as people give them",
    21: "TOML as people write it",
}


def marked_tests() -> dict[int, list[str]]:
    """Names of the marked tests by number of the fault."""
    mark = re.compile(r"^@pytest\.mark\.fault\(number=(\d+)\)\n(?:[@ )].*\n)*def (test_\w+)", re.M)
    found: dict[int, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for number, name in mark.findall(path.read_text(encoding="utf-8")):
            found.setdefault(int(number), []).append(f"{path.name}::{name}")
    return found


def test_every_fault_has_a_test() -> None:
    assert sorted(marked_tests()) == sorted(FAULTS)
