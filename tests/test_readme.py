"""The examples of the README and the documentation print what they say they print."""

import contextlib
import io
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "docs/optimal-selection.md",
    "docs/own-kinds.md",
    "docs/running.md",
    "docs/two-rounds.md",
    "docs/your-own-pool.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_example_prints_its_numbers(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", text, flags=re.DOTALL)
    assert examples
    for code, expected in examples:
        module = types.ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), module.__dict__)
        assert printed.getvalue() == expected


@pytest.mark.parametrize("page", [*PAGES, "docs/published-numbers.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
