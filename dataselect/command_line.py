"""The command line: ``dataselect``. Only what it takes is said here.

What a command does stands in ``dataselect.commands``, which is loaded when one runs: help is quick.
"""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from dataselect.loading import loaded

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # one plain line per error
)


Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default one for each core.")
]
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


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="TOML file with a [problem]; see examples/.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field, e.g. selection.alpha=1; any number of times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict the test error of one problem in the high-dimensional limit.

    The problem is that of a TOML file; values of --set are written as in the file.
    """
    _commands().predict(file, changes or (), as_json)


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
    workers: Workers = None,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
) -> None:
    """Reproduce figures of the paper: pictures, numbers and verdicts under OUTPUT/FIGURE/.

    OUTPUT/report.html and report.md show all figures that are there. Finished tasks are kept: the
    same command again goes on where this one was stopped. Exits with 1 if a claim fails.
    """
    _commands().reproduce(
        figure, list_figures, full, from_results, output, seed, workers, scheduler, quiet
    )


@app.command()
def validate(
    context: typer.Context,
    dimension: Annotated[int, typer.Option(min=2, help="Dimension p.")] = 800,
    repeats: Annotated[int, typer.Option(min=2, help="Data sets for each problem.")] = 20,
    problems: Annotated[int, typer.Option(min=1, max=500, help="How many problems.")] = 64,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
    workers: Workers = None,
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
    if theory_only:
        _commands().validate_theory(problems, seed, output, quiet)
    else:
        _commands().validate(dimension, repeats, problems, output, workers, quiet)


def _sweep_command(only_simulation: bool) -> Callable[..., None]:
    """The commands sweep and simulate: the same options, with the theory or without."""

    def command(
        file: SweepArgument,
        output: SweepOutput = None,
        workers: Workers = None,
        scheduler: Scheduler = None,
        quiet: Quiet = False,
        plan: PlanOption = False,
    ) -> None:
        _commands().sweep(file, output, workers, scheduler, quiet, plan, only_simulation)

    return command


sweep = app.command(
    "sweep",
    help="Run the theory, the simulation or both over the axes that a TOML file declares."
    " Results are kept in one store, OUTPUT; the same command again goes on where it was stopped.",
)(_sweep_command(only_simulation=False))
simulate = app.command("simulate", help="Run only the simulation of a TOML file; else like sweep.")(
    _sweep_command(only_simulation=True)
)


@app.command()
def plot(
    store: Annotated[Path, typer.Argument(help="Directory that a sweep wrote.")],
    x: Annotated[str | None, typer.Option(help="Axis along which to draw.")] = None,
) -> None:
    """Draw a sweep: theory and simulation over its axes, and their gap against p."""
    _commands().plot(store, x)


@app.command()
def recommend(
    file: Annotated[Path, typer.Argument(help="TOML file with a [problem]; see examples/.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field, as in predict.")
    ] = None,
) -> None:
    """Say which selection is best for a problem, and what it gains over simple ones."""
    _commands().recommend(file, changes or ())


@app.command()
def split(
    file: Annotated[
        Path, typer.Argument(help="TOML file with a [problem] that has a TrainedSurrogate.")
    ],
    labels: Annotated[float, typer.Option(help="Labels that are bought, per dimension.")],
    pool: Annotated[float, typer.Option(help="Samples to choose from, per dimension.")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="What is searched beside the share: ridge, reuse, exponent, surrogate.ridge; any"
            " number of times.  [default: ridge]",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field, as in predict.")
    ] = None,
) -> None:
    """Say how many labels to buy at random first, and how many to choose by their scores.

    The surrogate is trained on the first ones; the final fit gives them the weight
    surrogate.reuse.
    """
    searched = ["ridge"] if over is None else over
    _commands().split(file, changes or (), labels, pool, ["share", *searched])


@app.command()
def advise(
    file: Annotated[Path, typer.Argument(help="Labelled pilot: .csv, .parquet or .npz.")],
    labels: Annotated[str, typer.Option(help="Column (or array) that holds the labels.")],
    pool_size: Annotated[
        int | None,
        typer.Option(min=2, help="Unlabelled samples to choose from; without --target needed."),
    ] = None,
    fraction: Annotated[float, typer.Option(help="Share of them to label, in (0, 1].")] = 0.3,
    target: Annotated[
        float | None, typer.Option(help="Say how many labels reach this test error, in (0, 1).")
    ] = None,
    max_labels: Annotated[
        int | None, typer.Option(help="With --target: the most labels to look at.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The label that counts as +1, against all others.")
    ] = None,
    reuse: Annotated[
        float, typer.Option(min=0, help="Weight of the pilot's own labels in the final fit.")
    ] = 0.0,
    output: Annotated[Path, typer.Option(help="Directory for the results.")] = Path("results"),
) -> None:
    """Say which samples of a pool to label, from a labelled pilot of the same features.

    Labels may be of any number of classes. With --target: how many labels reach it, chosen at
    random and by every scheme, in place of what to label.
    """
    if target is not None:
        if reuse:
            raise typer.BadParameter("--target takes no --reuse")
        _commands().budget(file, labels, positive, target, pool_size, max_labels, output / "advice")
        return
    if pool_size is None:
        raise typer.BadParameter("--pool-size is needed, or --target")
    if max_labels is not None:
        raise typer.BadParameter("--max-labels needs --target")
    _commands().advise(file, labels, positive, pool_size, fraction, reuse, output / "advice")


@app.command()
def select(
    pool: Annotated[
        Path, typer.Argument(help="Parquet, CSV, .npy or .npz; or a directory of the first two.")
    ],
    pilot: Annotated[
        Path | None, typer.Option(help="Labelled samples of the same features, to learn from.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Column (or array) of the pilot that holds the labels.")
    ] = None,
    surrogate: Annotated[
        Path | None,
        typer.Option(
            help="Instead of a pilot: a fitted classifier (joblib). Loading it runs code."
        ),
    ] = None,
    fraction: Annotated[float | None, typer.Option(help="Share to choose, in (0, 1].")] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Number to choose.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Power selection: > 0 hard samples, < 0 easy ones.")
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(help="Or a name: random, hard, easy, top-hard, top-easy.")
    ] = None,
    reweight: Annotated[bool, typer.Option("--reweight", help="Weights 1/probability.")] = False,
    features: Annotated[
        list[str] | None,
        typer.Option("--feature", help="A column to use, any number of times; else all numeric."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", help="Column of ids to copy; they must be distinct.")
    ] = None,
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Standardise features as on the pilot.")
    ] = False,
    whiten: Annotated[
        int | None, typer.Option(min=1, help="Keep so many whitened components of the pilot.")
    ] = None,
    ridge: Annotated[float, typer.Option(help="Ridge of the surrogate.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out, and count, rows with NaN or inf.")
    ] = False,
    scheduler: Scheduler = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Parquet file for the chosen rows.")
    ] = Path("chosen.parquet"),
    quiet: Quiet = False,
) -> None:
    """Choose which samples of a pool of any size to label.

    The pool is read in batches. The same command again goes on where it was stopped.
    """
    _commands().select(
        pool,
        pilot=pilot,
        labels=labels,
        surrogate=surrogate,
        fraction=fraction,
        n=n,
        alpha=alpha,
        scheme=scheme,
        reweight=reweight,
        features=features,
        id_column=id_column,
        standardise=standardise,
        whiten=whiten,
        ridge=ridge,
        seed=seed,
        skip_bad_rows=skip_bad_rows,
        scheduler=scheduler,
        output=output,
        quiet=quiet,
    )


@app.command()
def embed(
    images: Annotated[
        Path, typer.Argument(help="Folder of images, gzipped IDX file, or .npz with images.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="An .npz file.")],
    network: Annotated[
        str, typer.Option(help="Or module:function that returns a torch module with weights.")
    ] = "efficientnet_lite0",
    size: Annotated[int, typer.Option(min=32, help="Pixels of the square it sees.")] = 96,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    skip_bad_images: Annotated[
        bool, typer.Option("--skip-bad-images", help="Leave out what cannot be decoded.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into features of a pretrained network (needs the extra embed)."""
    _commands().embed(images, output, network, size, batch, skip_bad_images, quiet)


@app.command()
def explore(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 2718,
    host: Annotated[
        str, typer.Option(help="Address to listen at; this machine only by default.")
    ] = "127.0.0.1",
) -> None:
    """Turn the knobs of a problem in the browser, and see what they do to the test error."""
    _commands().explore(host, port)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("data-selection-theory"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Exact theory and simulation of learning from a selected subset."""


def _commands() -> ModuleType:
    with loaded():
        from dataselect import commands
    return commands


def main() -> None:
    """Run the command line; wrong input or a failed solve is one line, not a traceback."""
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files, whatever a notebook has set
    for stream in (sys.stdout, sys.stderr):  # "\\u03b1" for an α that the encoding lacks
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        status = _commands().exit_status(error)
        if status is None:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)
