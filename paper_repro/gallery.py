"""The gallery of the documentation: every reproduced figure, its claims, and how to make it.

    python -m paper_repro.gallery RESULTS docs/gallery

writes one page for each figure whose results stand in RESULTS, and an index of all pages.
"""

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path

from paper_repro.catalogue import REPRODUCTIONS
from paper_repro.report import Chapter, chapter_text, read_chapter, reduced
from paper_repro.reproduction import AnyReproduction, Reproduction

MAKE = """```py
from paper_repro.catalogue import REPRODUCTIONS

figure = REPRODUCTIONS["{name}"]
results = figure.compute(full=False)
for name, picture in figure.draw(results).items():
    picture.savefig(f"{{name}}.png")
for claim in figure.claims(results):
    print(claim.holds, claim.statement, claim.numbers)
```"""


def write_gallery(results: Path, pages: Path) -> list[Path]:
    """Write a page for every figure that RESULTS holds, and the index; returns their paths."""
    pages.mkdir(parents=True, exist_ok=True)
    chapters = [
        read_chapter(reproduction, results)
        for name, reproduction in REPRODUCTIONS.items()
        if (results / name / f"{name}.nc").exists()
    ]
    paths = []
    for chapter in chapters:
        name = chapter.reproduction.name
        for picture in chapter.pictures:
            (pages / Path(picture).name).write_bytes(reduced(results / picture))
        paths.append(pages / f"{name}.md")
        paths[-1].write_text(page(chapter), encoding="utf-8")
    paths.append(pages / "index.md")
    paths[-1].write_text(index(chapters), encoding="utf-8")
    return paths


def page(chapter: Chapter) -> str:
    """The page of one figure: pictures, claims, numbers, and the code that makes them."""
    name = chapter.reproduction.name
    text = chapter_text(chapter).replace(f"]({name}/", "](").replace("## ", "# ", 1)
    parts = [text, "## Make it", f"```sh\ndataselect reproduce {name}\n```", MAKE.format(name=name)]
    code = _problem(chapter.reproduction)
    if code:
        parts += ["One point of it:", f"```py\n{code}```"]
    return "\n\n".join(parts) + "\n"


def index(chapters: Sequence[Chapter]) -> str:
    """The page that leads to the others."""
    claims = [claim for chapter in chapters for claim in chapter.claims]
    parts = [
        "# Gallery",
        f"{sum(claim.holds for claim in claims)} of {len(claims)} machine-checked claims hold."
        " Every picture is made by one command, which computes, draws and checks; a claim that"
        " fails is printed first.",
    ]
    for chapter in chapters:
        first = Path(next(iter(chapter.pictures))).name
        reproduction = chapter.reproduction
        shows = reproduction.shows[0].upper() + reproduction.shows[1:]
        parts += [
            f"## [{reproduction.title}]({reproduction.name}.md)",
            f"{shows}.",
            f"[![{reproduction.title}]({first}){{ loading=lazy }}]({reproduction.name}.md)",
        ]
    return "\n\n".join(parts) + "\n"


def _problem(reproduction: AnyReproduction) -> str:
    """The function that says what the problem at one point is; empty where there is none."""
    if not isinstance(reproduction, Reproduction) or reproduction.problem.__name__ == "<lambda>":
        return ""
    return inspect.getsource(reproduction.problem)


def main() -> None:
    """Write the gallery from the results that are there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, help="directory that dataselect reproduce wrote")
    parser.add_argument("pages", type=Path, help="where the pages go")
    arguments = parser.parse_args()
    for path in write_gallery(arguments.results, arguments.pages):
        print(path)


if __name__ == "__main__":
    main()
