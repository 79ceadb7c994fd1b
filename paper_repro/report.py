"""One page of all reproduced figures: pictures, verdicts and tables, as Markdown and HTML."""

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from PIL import Image

from paper_repro.claims import Claim, together
from paper_repro.reproduce import load_results
from paper_repro.reproduction import AnyReproduction
from simulate.files import write_whole
from simulate.running.progress import duration

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; }
img { max-width: 100%; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.6rem; vertical-align: top; }
th, td { text-align: left; }
summary { cursor: pointer; color: #0072B2; }
blockquote { border-left: 4px solid #D55E00; padding: 0.1rem 1rem; background: #fdf1ea; }
"""

SIZE = "samples_per_dimension"
COLOURS = 128
"""Of a picture inside the page: enough for lines and maps, and a third of the bytes."""

HOLDS, FAILS = "✓ holds", "**✗ FAILS**"


@dataclass(frozen=True)
class Chapter:
    """One figure of the report: its verdicts, table, how it was made, and its pictures.

    pictures: what each shows, in words, by its path.
    """

    reproduction: AnyReproduction
    claims: list[Claim]
    table: pd.DataFrame
    pictures: dict[str, str]
    made: str


def read_chapter(reproduction: AnyReproduction, output: Path) -> Chapter:
    """The chapter of a figure whose results are in OUTPUT/NAME."""
    directory = output / reproduction.name
    results = load_results(reproduction, directory)
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    scale = results.attrs["scale"]
    words = manifest.get("descriptions", {})
    return Chapter(
        reproduction,
        reproduction.claims(results),
        reproduction.table(results),
        {
            f"{reproduction.name}/{picture}.png": words.get(picture, picture)
            for picture in manifest.get("pictures", [])
        },
        f"`dataselect reproduce {reproduction.name} --{scale} --seed {results.attrs['seed']}`;"
        f" last run {duration(manifest['wall_seconds'])}, {manifest['written'][:10]}",
    )


def write_report(output: Path, reproductions: Sequence[AnyReproduction]) -> list[Path]:
    """Write OUTPUT/report.md and the self-contained report.html, of every figure found there."""
    chapters, unread = [], []
    for reproduction in reproductions:
        if (output / reproduction.name / f"{reproduction.name}.nc").exists():
            try:
                chapters.append(read_chapter(reproduction, output))
            except (KeyError, ValueError, OSError):  # of another version, or damaged
                unread.append(reproduction.name)
    text = markdown(chapters, unread)
    paths = [output / "report.md", output / "report.html"]
    write_whole(paths[0], lambda path: path.write_text(text, encoding="utf-8"))
    page = _html(text, output)
    write_whole(paths[1], lambda path: path.write_text(page, encoding="utf-8"))
    return paths


def markdown(chapters: Sequence[Chapter], unread: Sequence[str] = ()) -> str:
    """The report; what fails comes first. unread: figures whose results could not be read."""
    claims = [(chapter, claim) for chapter in chapters for claim in chapter.claims]
    failed = [(chapter, claim) for chapter, claim in claims if not claim.holds]
    parts = [
        "# Data selection: what holds, what does not",
        f"{len(claims) - len(failed)} of {len(claims)} machine-checked claims hold,"
        f" in {len(chapters)} figures. Theory is exact in the limit of large p; simulations state"
        " p, the number of data sets and their confidence.",
        together([claim for _, claim in claims]),
        _failures(failed),
        *(
            f"**{name}**: its results could not be read, perhaps for being of another version:"
            f" run `dataselect reproduce {name}` again."
            for name in unread
        ),
        _table(
            pd.DataFrame(
                {
                    "figure": f"[{c.reproduction.title}](#{_anchor(c.reproduction.title)})",
                    "shows": c.reproduction.shows,
                    "claims that hold": f"{sum(k.holds for k in c.claims)} of {len(c.claims)}",
                }
                for c in chapters
            )
        ),
        *map(chapter_text, chapters),
    ]
    return "\n\n".join(parts) + "\n"


def _failures(failed: Sequence[tuple[Chapter, Claim]]) -> str:
    if not failed:
        return "No claim fails."
    lines = ["## Claims that do not hold"]
    for source, heading in (("paper", "Stated by the paper"), ("here", "Stated here")):
        chosen = [(chapter, claim) for chapter, claim in failed if claim.source == source]
        if chosen:
            lines += [f"> **{heading}**", ">"]
            lines += [
                f"> - {claim.statement} ({chapter.reproduction.name}): {claim.numbers};"
                f" {claim.basis}"
                for chapter, claim in chosen
            ]
            lines.append("")
    return "\n".join(lines)


def chapter_text(chapter: Chapter) -> str:
    claims = pd.DataFrame(
        {
            "verdict": HOLDS if claim.holds else FAILS,
            "claim": claim.statement,
            "computed": claim.numbers,
            "basis": claim.basis,
            "stated by": {"paper": "the paper", "here": "this toolkit"}[claim.source],
        }
        for claim in chapter.claims
    )
    pictures = [f"![{_alternative(words)}]({path})" for path, words in chapter.pictures.items()]
    return "\n\n".join(
        [
            f"## {chapter.reproduction.title}",
            chapter.reproduction.shows[0].upper() + chapter.reproduction.shows[1:] + ".",
            *pictures,
            _table(claims),
            "<details><summary>Numbers</summary>",
            _table(chapter.table),
            "</details>",
            chapter.made,
        ]
    )


def _alternative(text: str) -> str:
    """As the text of a picture in Markdown."""
    return re.sub(r"([\\\[\]_*`<])", r"\\\1", text)


def _table(table: pd.DataFrame) -> str:
    texts = table.map(_cell)
    if SIZE in texts:  # as 36.9 everywhere, whatever the ratio of integers is
        texts[SIZE] = [f"{value:.3g}" for value in table[SIZE]]
    texts.columns = [_cell(name) for name in texts.rename(columns={SIZE: "N/p"})]
    return str(texts.to_markdown(index=False, disable_numparse=True))


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
    return text.replace("|", "\\|")


def _anchor(title: str) -> str:
    """The anchor that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _html(text: str, output: Path) -> str:
    """The same page, with its pictures inside."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    body = re.sub(r"<h2>(.*?)</h2>", lambda m: f'<h2 id="{_anchor(m[1])}">{m[1]}</h2>', body)

    def inline(match: re.Match[str]) -> str:
        data = base64.b64encode(reduced(output / match[1])).decode()
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="([^"]+\.png)"', inline, body)
    head = f'<meta charset="utf-8"><title>Data selection</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def reduced(picture: Path) -> bytes:
    """A PNG in few colours."""
    file = io.BytesIO()
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        few.save(file, "PNG", optimize=True)
    return file.getvalue()
