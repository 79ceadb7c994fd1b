"""What the commands do. Every one is thin: the work is in the rooms below."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import typer
import xarray as xr
from rich.console import Console
from rich.table import Table

import theory
from figures import advice_plot, budget_plot, gap_panel
from figures import plot as draw_sweep
from figures.style import save_figure
from figures.sweeps import SIMULATION, THEORY
from paper_repro import accuracy, validation
from paper_repro.catalogue import REPRODUCTIONS, absent
from paper_repro.report import write_report
from paper_repro.reproduce import draw, load_results
from paper_repro.reproduce import reproduce as reproduce_figure
from paper_repro.reproduction import AnyReproduction
from paper_repro.results import describe_run
from simulate import StoreError, cluster, process_pool
from simulate.experiment import Experiment, open_results, run_experiment
from simulate.files import read_dataset, write_dataset, write_json
from simulate.pools.advice import advise as advise_pilot
from simulate.pools.budgets import label_budget
from simulate.pools.embedding import embed as embed_images
from simulate.pools.optional import MissingPackageError
from simulate.pools.pilot import read_pilot
from simulate.pools.rules import as_selection, vary
from simulate.running.errors import RunError
from simulate.running.forecast import forecast
from simulate.running.interrupts import kept_interrupts
from simulate.running.progress import ProgressReport, duration
from simulate.running.workers import cluster_client
from simulate.sweep_file import read_problem, read_sweep
from theory._engine import PrecisionError
from theory.checks import near_names
from theory.machine import cores


def make_console(quiet: bool = False) -> Console:
    """A console that reads nothing in a text as markup, and breaks no line.

    >>> make_console().print("wrote out/run[bold]/:warning:")
    wrote out/run[bold]/:warning:
    """
    return Console(quiet=quiet, markup=False, emoji=False, highlight=False, soft_wrap=True)


def predict(file: Path, changes: Sequence[str], as_json: bool) -> None:
    """Print the prediction of a file's problem."""
    prediction = theory.predict(read_problem(file, changes))
    values = dataclasses.asdict(prediction) | {"status": prediction.status.value}
    del values["first_stage"]
    if prediction.first_stage is not None:
        values["surrogate_misclassification"] = prediction.first_stage.misclassification
    if as_json:
        print(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}", f"{value:.6g}" if isinstance(value, float) else value, sep="  ")


def reproduce(
    figure: str | None,
    list_figures: bool,
    full: bool,
    from_results: bool,
    output: Path,
    seed: int,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
) -> None:
    """Compute or redraw figures and write the report; exit with 1 if a claim fails."""
    console = make_console(quiet)
    if list_figures:
        _list_figures(make_console())
        return
    if figure != "all" and figure not in REPRODUCTIONS:
        allowed = near_names(figure or "", [*REPRODUCTIONS, "all"])
        raise theory.InvalidFieldError("figure", figure or "", f"{allowed}; --list shows them")
    if from_results and (full or seed):
        given = "--full" if full else f"--seed {seed}"
        raise theory.InvalidFieldError("--from-results", given, "given without --full and --seed")
    chosen = [figure or ""]
    if figure == "all":
        chosen = _computable(console, output if from_results else None)
    held = []
    if from_results:
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


def _computable(console: Console, output: Path | None) -> list[str]:
    """All figures but those without their data, or results where these are in OUTPUT."""
    chosen = []
    for name in REPRODUCTIONS:
        there = output is not None and (output / name / f"{name}.nc").exists()
        if there or not (why := absent(name)):
            chosen.append(name)
        else:
            console.print(f"{name} is left out: {why}", soft_wrap=True, highlight=False)
    return chosen


def _list_figures(console: Console) -> None:
    table = Table("name", "shows", "quick", "full", title="Figures: time on two cores")
    for name, reproduction in REPRODUCTIONS.items():
        quick, full = (duration(60 * minutes) for minutes in reproduction.minutes)
        table.add_row(name, reproduction.shows, quick, full)
    console.print(table, soft_wrap=False)


def _print_verdicts(
    console: Console, reproduction: AnyReproduction, results: xr.Dataset, files: list[Path]
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
        )
    _list_files(console, files)
    return all(claim.holds for claim in claims)


def validate(
    dimension: int, repeats: int, problems: int, output: Path, workers: int | None, quiet: bool
) -> None:
    """Hold simulation against theory on problems of every kind; fails where they disagree.

    With --theory: random problems over every kind and the documented ranges; fails where fewer
    than 99% are solved or truly have no solution, or fewer than 99% of the error estimates hold.
    """
    console = make_console(quiet)
    with (
        long_run(output / validation.NAME, workers, None) as (directory, executor),
        ProgressReport(console, quiet) as progress,
    ):
        results, files = validation.validate(
            directory, dimension, repeats, problems, executor, progress
        )
    found = validation.verdict(results)
    for k in found.worst.argsort().values:
        row = results.isel(problem=k)
        scores = "  ".join(
            f"{name} {float(row[f'z_{name}']):+.2f}" for name in validation.QUANTITIES
        )
        console.print(f"{scores}  {row.problem.item()}")
    rms = found.rms.to_series()
    console.print("rms z: " + ", ".join(f"{name} {value:.2f}" for name, value in rms.items()))
    failed = int((results.simulation_converged == 0).sum())
    console.print(f"largest |z|: {float(found.worst.max()):.2f}; fits that failed: {failed}")
    _list_files(console, files)
    if not found.holds:
        raise typer.Exit(1)


def validate_theory(count: int, seed: int, output: Path, quiet: bool) -> None:
    """Hold theory against finer quadrature; exit with 1 where too little is solved or honest."""
    console = make_console(quiet)
    problems = accuracy.random_problems(count, seed)
    table = accuracy.check_accuracy(problems, _reporter(console, "problems"))
    path = output / accuracy.NAME / f"{accuracy.NAME}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, encoding="utf-8")
    for row in table[~table.explained].itertuples():
        console.print(f"{row.status}  {row.problem}")
    result = accuracy.summary(table)
    for name, value in result.items():
        console.print(f"{name}: {value:.4g}")
    _list_files(console, [path])
    if min(result["explained"], result["honest"], result["honest log loss"]) < 0.99:
        raise typer.Exit(1)


def _reporter(console: Console, what: str) -> Callable[[int, int], None]:
    """A line, with the time left, at every tenth of a long work."""
    began = time.monotonic()

    def report(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:
            left = (time.monotonic() - began) / done * (total - done)
            console.print(f"{done} of {total} {what}, {duration(left)} left")

    return report


def _list_files(console: Console, files: list[Path]) -> None:
    for path in files:
        console.print(f"wrote {path}")


def sweep(
    file: Path,
    output: Path | None,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
    plan: bool,
    only_simulation: bool,
) -> None:
    """Run what a TOML file declares; with the theory or without."""
    declared = read_sweep(file)
    if only_simulation:
        if not any(declared.sizes):
            raise theory.InvalidFieldError("simulation", "nothing", f"a table of {file}")
        declared = dataclasses.replace(declared, predicted=False)
    if plan:
        _print_plan(declared, workers)
        return
    directory = output or Path("results") / file.stem
    with (
        open_results(directory, declared),
        long_run(directory, workers, scheduler) as (store, executor),
    ):
        _run_sweep(declared, file, store, executor, quiet)


def _run_sweep(
    declared: Experiment, file: Path, store: Path, executor: Executor, quiet: bool
) -> None:
    began = time.perf_counter()
    console = make_console(quiet)
    with ProgressReport(console, quiet) as report:
        results = run_experiment(declared, store, executor, report)
    settings = {"file": str(file), "theory": declared.predicted}
    write_dataset(store / "results.nc", results)
    took = time.perf_counter() - began
    write_json(store / "manifest.json", describe_run(declared.seed, took, settings))
    if "theory_status" in results:
        failed = int((results.theory_status != "CONVERGED").sum())
        if failed:
            count = results.theory_status.size
            console.print(f"{failed} of {count} predictions did not converge: see status")
    if "simulation_converged" in results:
        missed = int((results.simulation_converged == 0).sum())
        count = int(results.simulation_converged.notnull().sum())
        console.print(f"fits that missed their tolerance: {missed} of {count}")
    _list_files(console, [store / "results.nc", store / "manifest.json"])
    console.print(f"draw it: dataselect plot {store}")


def _print_plan(declared: Experiment, given: int | None) -> None:
    """What the file declares, before anything starts."""
    console = make_console()
    count = len(dict.fromkeys(declared.problems))
    console.print(f"{count} problems; predictions: {count if declared.predicted else 'none'}")
    plans = declared.plans().values()
    if not plans:
        console.print("no simulation")
        return
    expected = [forecast(plan) for plan in plans]
    tasks, fits = sum(f.tasks for f in expected), sum(f.fits for f in expected)
    workers = given or cores()
    busy = min(workers, cores(), tasks)
    console.print(f"{tasks} tasks, {fits} fits, {workers} workers")
    console.print(
        f"memory: about {max(f.worker_bytes for f in expected) / 1e9:.2f} GB a worker"
        f" (features {max(f.feature_bytes for f in expected) / 1e9:.3f} GB)"
    )
    seconds = sum(f.seconds for f in expected)
    console.print(f"time: about {duration(seconds / busy)} on {busy} cores")


def plot(store: Path, x: str | None) -> None:
    """Draw a sweep: theory and simulation over its axes, and their gap against p."""
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
    for name, figure in drawn.items():
        _list_files(make_console(), save_figure(figure, store / name))
        plt.close(figure)


@contextmanager
def long_run(
    directory: Path, workers: int | None, scheduler: str | None
) -> Iterator[tuple[Path, Executor]]:
    """A results directory and an executor; an interrupt is one line."""
    directory.mkdir(parents=True, exist_ok=True)  # fail now, not after the computation
    try:
        pool = process_pool(workers or cores()) if scheduler is None else cluster(scheduler)
        with kept_interrupts(), pool as executor:
            yield directory, executor
    except KeyboardInterrupt:
        print(
            "interrupted: finished tasks are kept; the same command again goes on from there",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


def recommend(file: Path, changes: Sequence[str]) -> None:
    """Print the best selection for a problem, and what it gains."""
    print(theory.recommend(read_problem(file, changes)).words)


def split(
    file: Path, changes: Sequence[str], labels: float, pool: float, over: Sequence[str]
) -> None:
    """Print the best split of a budget of labels, and the curve over the share."""
    found = theory.split_budget(read_problem(file, changes), labels, pool, over)
    print(found.words)
    columns = [found.objective, "first_stage", *(n for n in found.curve if n not in SPLIT_COLUMNS)]
    table = Table("share", *map(str, columns), box=None)
    for share in found.curve.share:
        at = found.curve.sel(share=share)
        table.add_row(f"{float(share):.3f}", *(f"{float(at[name]):.5g}" for name in columns))
    Console().print(table)


SPLIT_COLUMNS = ("misclassification", "log_loss", "first_stage")
"""Columns of a curve of splits that are errors."""


def advise(
    file: Path,
    labels: str,
    positive: str | None,
    pool_size: int,
    fraction: float,
    reuse: float,
    output: Path,
) -> None:
    """Print and draw what to label, predicted from a labelled pilot."""
    console = make_console()
    advice = advise_pilot(
        *read_pilot(file, labels, positive),
        pool_size,
        fraction=fraction,
        reuse=reuse,
        progress=_reporter(console, "predictions"),
    )
    for line in advice.lines():
        console.print(line)
    output.mkdir(parents=True, exist_ok=True)
    advice.table.to_csv(output / "advice.csv", index=False, encoding="utf-8")
    figure = advice_plot(advice.table)
    _list_files(console, [output / "advice.csv", *save_figure(figure, output / "advice")])
    plt.close(figure)


def budget(
    file: Path,
    labels: str,
    positive: str | None,
    target: float,
    pool_size: int | None,
    max_labels: int | None,
    output: Path,
) -> None:
    """Print and draw how many labels reach a target, predicted from a labelled pilot."""
    console = make_console()
    found = label_budget(
        *read_pilot(file, labels, positive),
        target,
        pool_size,
        max_labels,
        progress=_reporter(console, "points of curves"),
    )
    for line in found.lines():
        console.print(line)
    console.print(
        f"all numbers but those of random samples count {found.surrogate_labels} labels of a"
        " surrogate"
    )
    if found.caution:
        console.print(f"caution: {found.caution}")
    output.mkdir(parents=True, exist_ok=True)
    tables = {"budget": found.needs, "budget-curve": found.curve}
    for name, table in tables.items():
        table.to_csv(output / f"{name}.csv", index=False, encoding="utf-8")
    figure = budget_plot(found.curve, found.experiments, found.target)
    files = [output / f"{name}.csv" for name in tables]
    _list_files(console, [*files, *save_figure(figure, output / "budget")])
    plt.close(figure)


def select(
    pool: Path,
    *,
    pilot: Path | None,
    labels: str | None,
    surrogate: Path | None,
    fraction: float | None,
    n: int | None,
    alpha: float | None,
    scheme: str | None,
    reweight: bool,
    features: Sequence[str] | None,
    id_column: str | None,
    standardise: bool,
    whiten: int | None,
    ridge: float,
    seed: int,
    skip_bad_rows: bool,
    scheduler: str | None,
    output: Path,
    quiet: bool,
) -> None:
    """Choose from a pool of any size, and write what is chosen."""
    from simulate.pools.stream_pilot import Preparation, learned_selector, loaded_selector

    console = make_console(quiet)
    if (fraction is None) == (n is None):
        raise theory.InvalidFieldError("--fraction", fraction, "one of --fraction and --n")
    if alpha is not None and scheme is not None:
        raise theory.InvalidFieldError("--scheme", scheme, "given without --alpha")
    rule = as_selection(scheme or "hard")
    if alpha is not None:
        rule = theory.PowerSelection(alpha, 0.5)
    if reweight:
        rule = vary(rule, reweight=True)
    if surrogate is not None:
        if pilot is not None or standardise or whiten is not None:
            raise theory.InvalidFieldError("--surrogate", surrogate, "given without a pilot")
        selector = loaded_selector(surrogate, rule, seed)
    elif pilot is None or labels is None:
        raise theory.InvalidFieldError("--pilot", pilot, "given with --labels, or a --surrogate")
    else:
        ignored = () if id_column is None else (id_column,)
        preparation = Preparation(standardise, whiten, ridge)
        selector = learned_selector(pilot, labels, rule, preparation, features, ignored, seed)
    began = time.perf_counter()
    try:
        with kept_interrupts(), ExitStack() as stack:
            client = stack.enter_context(cluster_client(scheduler)) if scheduler else None
            chosen = selector.select_from(
                pool,
                fraction,
                n,
                columns=features or None,
                id_column=id_column,
                output=output,
                skip_bad_rows=skip_bad_rows,
                client=client,
                progress=_rows_reporter(console),
            )
    except KeyboardInterrupt:
        print("interrupted: the same command again goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None
    left_out = f" ({chosen.bad_rows} bad rows left out)" if chosen.bad_rows else ""
    console.print(
        f"chose {chosen.chosen_rows} of {chosen.pool_rows} rows{left_out} in"
        f" {duration(time.perf_counter() - began)}"
    )
    _list_files(console, [output])


def embed(
    images: Path,
    output: Path,
    network: str,
    size: int,
    batch: int,
    skip_bad_images: bool,
    quiet: bool,
) -> None:
    """Write the features of images."""
    console = make_console(quiet)
    began = time.perf_counter()
    try:
        with kept_interrupts():
            done = embed_images(
                images,
                output,
                network,
                size=size,
                batch=batch,
                skip_bad_images=skip_bad_images,
                progress=_rows_reporter(console, "images"),
            )
    except KeyboardInterrupt:
        print("interrupted: the same command again goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None
    for name in done.left_out:
        console.print(f"left out: {name}")
    took = duration(time.perf_counter() - began)
    console.print(
        f"{done.dimension} features of {done.images} images in {took};"
        f" {len(done.left_out)} left out"
    )
    _list_files(console, [output])


def _rows_reporter(console: Console, what: str = "rows") -> Callable[[int, int | None], None]:
    """A line at every tenth, or at every ten million where their number is unknown."""
    shown = [0]

    def report(done: int, total: int | None) -> None:
        step = (total or 100_000_000) / 10
        if done // step > shown[0] // step:
            console.print(f"{done} of {total} {what}" if total else f"{done} {what}")
            shown[0] = done

    return report


def explore(host: str, port: int) -> None:
    """Serve the explorer until it is interrupted."""
    try:
        from figures.explorer.serve import serve  # only now: its packages are an extra
    except ModuleNotFoundError as error:
        if error.name not in ("marimo", "altair", "uvicorn"):
            raise
        raise ModuleNotFoundError(
            f"the explorer needs {error.name}: pip install 'data-selection-theory[explore]'"
        ) from None
    serve(host, port)


def exit_status(error: Exception) -> int | None:
    """2 for wrong input, 1 for a failed computation, None for an error of the program."""
    if isinstance(error, ValueError | OSError | ModuleNotFoundError | MissingPackageError):
        return 2
    if isinstance(error, theory.ConvergenceError | RunError | BrokenExecutor | PrecisionError):
        return 1
    return None
