"""The command line: ``dataselect predict`` and ``dataselect reproduce``."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import theory
from paper_repro import figure_2, gaussian_mixture, validation
from paper_repro.fraction_figure import agreement
from simulate import process_pool

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # one plain line per error
    help="Exact theory and simulation of learning from a selected subset.",
)


class LinkName(StrEnum):
    F1 = "f1"
    F2 = "f2"
    LOGISTIC = "logistic"
    PROBIT = "probit"
    STEP = "step"


class SchemeName(StrEnum):
    RANDOM = "random"
    POWER = "power"
    HARD = "hard"
    EASY = "easy"


FIGURES = {module.FIGURE.name: module.FIGURE for module in (figure_2, gaussian_mixture)}


class FigureName(StrEnum):
    FIGURE_2 = figure_2.FIGURE.name
    GAUSSIAN_MIXTURE = gaussian_mixture.FIGURE.name


def _numbers(field: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise theory.InvalidFieldError(field, text, "numbers separated by commas") from None


@app.command()
def predict(
    ridge: Annotated[float, typer.Option(help="Ridge lambda >= 0.")],
    fraction: Annotated[float, typer.Option(help="Fraction of the pool kept, in (0, 1].")],
    samples_per_dimension: Annotated[float, typer.Option(help="N/p > 0.")],
    link: Annotated[LinkName, typer.Option(help="Label model of the single index.")] = LinkName.F1,
    signal_norm: Annotated[float, typer.Option(help="Norm of theta_0, > 0.")] = 5.0,
    thresholds: Annotated[str, typer.Option(help="With --link step: e.g. '-0.5,0,0.5'.")] = "0",
    levels: Annotated[str, typer.Option(help="With --link step: one more than thresholds.")] = (
        "0.05,0.95"
    ),
    selection: Annotated[SchemeName, typer.Option(help="Selection scheme.")] = SchemeName.POWER,
    alpha: Annotated[float, typer.Option(help="Exponent of the power selection.")] = 0.5,
    score_clip: Annotated[float, typer.Option(help="Bound on the score (power selection).")] = 10.0,
    reweight: Annotated[bool, typer.Option(help="Weight selected samples by 1/pi.")] = False,
    fit_intercept: Annotated[bool, typer.Option(help="Fit an unpenalised intercept.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict the test error of one problem in the high-dimensional limit."""
    links: dict[LinkName, Callable[[], theory.StepLink | Any]] = {
        LinkName.F1: lambda: theory.F1,
        LinkName.F2: lambda: theory.F2,
        LinkName.LOGISTIC: theory.LogisticLink,
        LinkName.PROBIT: theory.ProbitLink,
        LinkName.STEP: lambda: theory.StepLink(
            _numbers("thresholds", thresholds), _numbers("levels", levels)
        ),
    }
    schemes: dict[SchemeName, Callable[[], Any]] = {
        SchemeName.RANDOM: lambda: theory.RandomSelection(fraction, reweight),
        SchemeName.POWER: lambda: theory.PowerSelection(alpha, fraction, reweight, score_clip),
        SchemeName.HARD: lambda: theory.TopSelection("hard", fraction),
        SchemeName.EASY: lambda: theory.TopSelection("easy", fraction),
    }
    prediction = theory.predict(
        theory.Problem(
            data=theory.SingleIndex(links[link](), signal_norm),
            selection=schemes[selection](),
            ridge=ridge,
            samples_per_dimension=samples_per_dimension,
            fit_intercept=fit_intercept,
        )
    )
    values = dataclasses.asdict(prediction) | {"status": prediction.status.value}
    if as_json:
        print(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}", f"{value:.6g}" if isinstance(value, float) else value, sep="  ")


@app.command()
def reproduce(
    figure: Annotated[FigureName, typer.Argument(help="What to reproduce.")],
    full: Annotated[
        bool, typer.Option("--full/--quick", help="The paper's size, or a small one in minutes.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Reproduce a figure of the paper: picture, numbers and manifest under OUTPUT/FIGURE/."""
    console = Console()
    chosen = FIGURES[figure.value]
    scale = chosen.full if full else chosen.quick
    with long_run(output / figure.value, workers, console) as (directory, executor, report):
        results, files = chosen.reproduce(directory, scale, seed, executor, report)

    table = Table(title="Agreement of simulation with theory (misclassification)")
    for heading in ("labels", "ridge", "points", "largest |z|", "rms z"):
        table.add_column(heading, justify="right")
    for model, ridge, points, worst, rms in agreement(results):
        table.add_row(model, f"{ridge:g}", str(points), f"{worst:.2f}", f"{rms:.2f}")
    console.print(table)
    _list_files(console, files)


@app.command()
def validate(
    dimension: Annotated[int, typer.Option(min=2, help="Dimension p.")] = 800,
    repeats: Annotated[int, typer.Option(min=2, help="Data sets for each problem.")] = 20,
    problems: Annotated[int, typer.Option(min=1, max=500, help="How many problems.")] = 64,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Hold simulation against theory on problems of every kind; fails where they disagree."""
    console = Console()
    with long_run(output / validation.NAME, workers, console) as (directory, executor, report):
        results, files = validation.validate(
            directory, dimension, repeats, problems, executor, report
        )
    worst = abs(results.z).max("quantity").fillna(0)
    for k in worst.argsort().values:
        row = results.isel(problem=k)
        scores = "  ".join(
            f"{name} {float(row.z.sel(quantity=name)):+.2f}" for name in results["quantity"].values
        )
        console.print(f"{scores}  {row.problem.item()}", soft_wrap=True, highlight=False)
    rms = ((results.z**2).mean("problem") ** 0.5).to_series()
    console.print("rms z: " + ", ".join(f"{name} {value:.2f}" for name, value in rms.items()))
    console.print(
        f"largest |z|: {float(worst.max()):.2f}; fits that failed: {int(results.failed_fits.sum())}"
    )
    _list_files(console, files)
    if float(worst.max()) > 4 or rms.max() > 1.3 or results.theory.isnull().any():
        raise typer.Exit(1)


def _list_files(console: Console, files: list[Path]) -> None:
    for path in files:
        console.print(f"wrote {path}", soft_wrap=True, highlight=False)


@contextmanager
def long_run(
    directory: Path, workers: int, console: Console
) -> Iterator[tuple[Path, Executor, Callable[[int, int], None]]]:
    """A results directory, worker processes and a progress report; an interrupt is one line."""
    directory.mkdir(parents=True, exist_ok=True)  # fail now, not after the computation
    matplotlib.use("agg")
    try:
        with process_pool(workers) as executor, progress_report(console) as report:
            yield directory, executor, report
    except KeyboardInterrupt:
        print("interrupted: no result files were changed", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def progress_report(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; a line at every tenth of the work elsewhere."""
    if not console.is_terminal:

        def print_line(done: int, total: int) -> None:
            if done * 10 // total > (done - 1) * 10 // total:
                console.print(f"simulated {done} of {total} tasks")

        yield print_line
        return
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("simulating", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def main() -> None:
    """Run the command line; wrong input or a failed solve is one line, not a traceback."""
    try:
        app()
    except (theory.InvalidFieldError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except theory.ConvergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
