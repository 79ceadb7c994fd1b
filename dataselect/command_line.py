"""The command line: ``dataselect``. Every command is thin: the work is in the rooms below."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
import xarray as xr
from rich.console import Console
from rich.table import Table

import theory
from figures import gap_panel
from figures import plot as draw_sweep
from figures.style import save_figure
from figures.sweeps import SIMULATION, THEORY
from paper_repro import accuracy, validation
from paper_repro.catalogue import REPRODUCTIONS
from paper_repro.report import write_report
from paper_repro.reproduce import draw, load_results
from paper_repro.reproduce import reproduce as reproduce_figure
from paper_repro.reproduction import Reproduction
from paper_repro.results import describe_run
from simulate import StoreError, cluster, process_pool, run
from simulate.files import read_dataset, write_dataset, write_json
from simulate.running.errors import RunError
from simulate.running.forecast import forecast
from simulate.running.interrupts import kept_interrupts
from simulate.running.progress import ProgressReport, duration
from simulate.running.store import open_sweep_store
from simulate.sweep_file import SweepFile, read_sweep
from theory.checks import near_names
from theory.machine import cores

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


CORES = cores()
Workers = Annotated[int, typer.Option(min=1, help="Worker processes.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler to use instead of processes.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
SweepArgument = Annotated[Path, typer.Argument(help="TOML file; see examples/.")]
SweepOutput = Annotated[
    Path | None, typer.Option(help="Store for the results; by default results/NAME-OF-FILE.")
]
PlanOption = Annotated[
    bool, typer.Option("--plan", help="Only say what would run: tasks, memory, time.")
]


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
    figure: Annotated[
        str | None, typer.Argument(help="A name from --list, or all.", show_default=False)
    ] = None,
    list_figures: Annotated[
        bool, typer.Option("--list", help="List the figures, what they show and their time.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="The paper's size, or a small one in minutes.")
    ] = False,
    from_results: Annotated[
        bool, typer.Option("--from-results", help="Redraw from saved results; compute nothing.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.")] = 0,
    workers: Workers = CORES,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce figures of the paper: pictures, numbers and verdicts under OUTPUT/FIGURE/.

    OUTPUT/report.html and report.md show all figures that are there. Finished tasks are kept: the
    same command again goes on where this one was stopped. Exits with 1 if a claim fails.
    """
    console = Console(quiet=quiet)
    if list_figures:
        _list_figures(Console())
        return
    if figure != "all" and figure not in REPRODUCTIONS:
        allowed = near_names(figure or "", [*REPRODUCTIONS, "all"])
        raise theory.InvalidFieldError("figure", figure or "", f"{allowed}; --list shows them")
    if from_results and (full or seed):
        given = "--full" if full else f"--seed {seed}"
        raise theory.InvalidFieldError("--from-results", given, "given without --full and --seed")
    chosen = list(REPRODUCTIONS) if figure == "all" else [figure]
    held = []
    if from_results:
        matplotlib.use("agg")
        saved = {name: load_results(REPRODUCTIONS[name], output / name) for name in chosen}
        for name, results in saved.items():
            files = draw(REPRODUCTIONS[name], output / name, results)
            held.append(_print_verdicts(console, REPRODUCTIONS[name], results, files))
    else:
        with long_run(output, workers, scheduler) as (directory, executor):
            for name in chosen:
                console.rule(name)
                with ProgressReport(console, quiet) as report:
                    results, files = reproduce_figure(
                        REPRODUCTIONS[name], directory / name, full, seed, executor, report
                    )
                held.append(_print_verdicts(console, REPRODUCTIONS[name], results, files))
    _list_files(console, write_report(output, list(REPRODUCTIONS.values())))
    if not all(held):
        raise typer.Exit(1)


def _list_figures(console: Console) -> None:
    table = Table("name", "shows", "quick", "full", title="Figures: time on two cores")
    for name, reproduction in REPRODUCTIONS.items():
        quick, full = (duration(60 * minutes) for minutes in reproduction.minutes)
        table.add_row(name, reproduction.shows, quick, full)
    console.print(table)


def _print_verdicts(
    console: Console, reproduction: Reproduction, results: xr.Dataset, files: list[Path]
) -> bool:
    """Print every claim with its verdict, and the files; returns whether all claims hold."""
    claims = reproduction.claims(results)
    for claim in claims:
        verdict = "holds" if claim.holds else "FAILS"
        stated = "the paper" if claim.source == "paper" else "this toolkit"
        computed = f"{claim.numbers} ({claim.basis}; stated by {stated})"
        console.print(
            f"{verdict}: {claim.statement}\n    {computed}",
            style=None if claim.holds else "bold red",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    _list_files(console, files)
    return all(claim.holds for claim in claims)


@app.command()
def validate(
    context: typer.Context,
    dimension: Annotated[int, typer.Option(min=2, help="Dimension p.")] = 800,
    repeats: Annotated[int, typer.Option(min=2, help="Data sets for each problem.")] = 20,
    problems: Annotated[int, typer.Option(min=1, max=500, help="How many problems.")] = 64,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
    workers: Workers = CORES,
    quiet: Quiet = False,
    theory_only: Annotated[
        bool, typer.Option("--theory", help="Hold theory against finer quadrature instead.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the random problems of --theory.")] = 0,
) -> None:
    """Hold simulation against theory on problems of every kind; fails where they disagree.

    With --theory: random problems over every kind and the documented ranges; fails where fewer
    than 99% are solved or truly have no solution, or fewer than 99% of the error estimates hold.
    """
    refused = ("dimension", "repeats", "workers") if theory_only else ("seed",)
    for name in refused:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            rule = "takes no" if theory_only else "is needed by"
            raise typer.BadParameter(f"--theory {rule} --{name}")
    console = Console(quiet=quiet)
    began = time.monotonic()

    def report(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            left = (time.monotonic() - began) / done * (total - done)
            console.print(f"{done} of {total} problems, {duration(left)} left")

    if theory_only:
        _validate_theory(console, problems, seed, output, report)
        return
    with long_run(output / validation.NAME, workers, None) as (directory, executor):
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


def _validate_theory(
    console: Console, count: int, seed: int, output: Path, report: Callable[[int, int], None]
) -> None:
    table = accuracy.check_accuracy(accuracy.random_problems(count, seed), report)
    path = output / accuracy.NAME / f"{accuracy.NAME}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    for row in table[~table.explained].itertuples():
        console.print(f"{row.status}  {row.problem}", soft_wrap=True, highlight=False, markup=False)
    result = accuracy.summary(table)
    for name, value in result.items():
        console.print(f"{name}: {value:.4g}", highlight=False)
    _list_files(console, [path])
    if min(result["explained"], result["honest"], result["honest log loss"]) < 0.99:
        raise typer.Exit(1)


def _list_files(console: Console, files: list[Path]) -> None:
    for path in files:
        console.print(f"wrote {path}", soft_wrap=True, highlight=False)


def _sweep_command(only_simulation: bool) -> Callable[..., None]:
    """The commands sweep and simulate: the same options, with the theory or without."""

    def command(
        file: SweepArgument,
        output: SweepOutput = None,
        workers: Workers = CORES,
        scheduler: Scheduler = None,
        quiet: Quiet = False,
        plan: PlanOption = False,
    ) -> None:
        declared = read_sweep(file)
        if only_simulation:
            if declared.plan is None:
                raise theory.InvalidFieldError("simulation", "nothing", f"a table of {file}")
            declared = dataclasses.replace(declared, theory=False)
        if plan:
            _print_plan(declared, workers)
            return
        directory = output or Path("results") / file.stem
        with (
            open_sweep_store(
                directory, declared.problem, declared.axes, declared.theory, declared.plan
            ),
            long_run(directory, workers, scheduler) as (store, executor),
        ):
            _run_sweep(declared, file, store, executor, quiet)

    return command


sweep = app.command(
    "sweep",
    help="Run the theory, the simulation or both over the axes that a TOML file declares."
    " Results are kept in one store, OUTPUT; the same command again goes on where it was stopped.",
)(_sweep_command(only_simulation=False))
simulate = app.command("simulate", help="Run only the simulation of a TOML file; else like sweep.")(
    _sweep_command(only_simulation=True)
)


def _run_sweep(
    declared: SweepFile, file: Path, store: Path, executor: Executor, quiet: bool
) -> None:
    began = time.perf_counter()
    console = Console(quiet=quiet)
    predictions = theory.predict_all(declared.problems) if declared.theory else []
    values = None
    if declared.plan is not None:
        with ProgressReport(console, quiet) as report:
            watcher = report.expecting(dict(zip(declared.problems, predictions, strict=False)))
            values = run(declared.plan, store / "simulation", executor, watcher)
    results = declared.dataset(predictions, values)
    settings = {"file": str(file), "theory": declared.theory}
    seed = declared.plan.seed if declared.plan is not None else 0
    write_dataset(store / "results.nc", results)
    took = time.perf_counter() - began
    write_json(store / "manifest.json", describe_run(seed, took, settings))
    failed = sum(p.status is not theory.Status.CONVERGED for p in predictions)
    if failed:
        console.print(f"{failed} of {len(predictions)} predictions did not converge: see status")
    if values is not None:
        missed = int((results.simulation_converged == 0).sum())
        console.print(f"fits that missed their tolerance: {missed} of {values[..., 0].size}")
    _list_files(console, [store / "results.nc", store / "manifest.json"])
    console.print(f"draw it: dataselect plot {store}", soft_wrap=True, highlight=False)


def _print_plan(declared: SweepFile, workers: int) -> None:
    """What the file declares, before anything starts."""
    console = Console()
    count = len(declared.problems)
    console.print(f"{count} problems; predictions: {count if declared.theory else 'none'}")
    if declared.plan is None:
        console.print("no simulation")
        return
    expected = forecast(declared.plan)
    busy = min(workers, CORES, expected.tasks)
    console.print(f"{expected.tasks} tasks, {expected.fits} fits, {workers} workers")
    console.print(
        f"memory: about {expected.worker_bytes / 1e9:.2f} GB a worker"
        f" (features {expected.feature_bytes / 1e9:.3f} GB)"
    )
    console.print(f"time: about {duration(expected.seconds / busy)} on {busy} cores")


@app.command()
def plot(
    store: Annotated[Path, typer.Argument(help="Directory that a sweep wrote.")],
    x: Annotated[str | None, typer.Option(help="Axis along which to draw.")] = None,
) -> None:
    """Draw a sweep: theory and simulation over its axes, and their gap against p."""
    matplotlib.use("agg")
    path = store / "results.nc"
    if not path.exists():
        raise StoreError(f"{path} does not exist: run or finish the sweep that writes {store}")
    results = read_dataset(path)
    names = [d for d in results.dims if d not in ("dimension", "data_set")]
    drawn = {"overlay": draw_sweep(results, x)} if names else {}
    if THEORY in results and SIMULATION in results and results.sizes["dimension"] > 1:
        drawn["gap"] = gap_panel(results)
    if not drawn:
        raise theory.InvalidFieldError("axes", "none", "an axis, or several dimensions, to draw")
    files = [path for name, figure in drawn.items() for path in save_figure(figure, store / name)]
    _list_files(Console(), files)


@contextmanager
def long_run(
    directory: Path, workers: int, scheduler: str | None
) -> Iterator[tuple[Path, Executor]]:
    """A results directory and an executor; an interrupt is one line."""
    directory.mkdir(parents=True, exist_ok=True)  # fail now, not after the computation
    matplotlib.use("agg")
    try:
        pool = process_pool(workers) if scheduler is None else cluster(scheduler)
        with kept_interrupts(), pool as executor:
            yield directory, executor
    except KeyboardInterrupt:
        print(
            "interrupted: finished tasks are kept; the same command again goes on from there",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


def main() -> None:
    """Run the command line; wrong input or a failed solve is one line, not a traceback."""
    try:
        app()
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (theory.ConvergenceError, RunError, BrokenExecutor) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
