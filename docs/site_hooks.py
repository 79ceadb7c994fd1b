"""What the site adds to MkDocs: formulas as MathML, docstrings as lists and code, small pages."""

import html
import re
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert

LARGEST_PAGE = 1_000_000
"""Bytes."""

FIELD = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): ")
"""How a line of a docstring begins that says what a field or an argument is."""


class Docstrings(griffe.Extension):
    """Docstrings as this project writes them, for Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """Lines ``name: meaning`` become a list, examples become code."""
    lines: list[str] = []
    listed = False
    for line in docstring.split("\n"):
        field = FIELD.match(line)
        if (field and not listed) or (listed and line and not field and line[0] != " "):
            lines.append("")
        listed = bool(field) or (listed and line[:1] == " ")
        lines.append(f"- `{field[1]}`: {line[field.end() :]}" if field else line)
    text = "\n".join(lines)
    return re.sub(r"^>>> .*(?:\n\S.*)*", r"```pycon\n\g<0>\n```", text, flags=re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files of the repository lead nowhere on the site: only their text stays."""
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:examples|theory|simulate)[^)]*\)", r"\1", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML, which browsers draw without a script."""

    def mathml(match: re.Match[str]) -> str:
        formula = html.unescape(match[2])
        block = match[1] == "div"
        return convert(formula[2:-2].strip(), display="block" if block else "inline")

    return re.sub(r'<(span|div) class="arithmatex">(.*?)</\1>', mathml, content, flags=re.S)


def on_post_build(config: Any, **_: Any) -> None:
    """Fail where a page is too large to load quickly."""
    for page in Path(config.site_dir).rglob("*.html"):
        if page.stat().st_size > LARGEST_PAGE:
            raise SystemExit(f"{page} has {page.stat().st_size} bytes, more than {LARGEST_PAGE}")
