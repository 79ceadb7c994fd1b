"""Random command lines, TOML files and Python arguments: what is wrong is said clearly.

Run: python benchmarks/fuzz.py [--inputs 2000] [--seed 0] [--first 0]

Every input is made from the seed and its number alone. It passes if it works, or is refused by an
error that the documentation names, in words that name what is wrong; on the command line with one
line and exit status 2, or 1 where a problem has no solution. It fails with any other exception, a
warning, a hang, or an answer to something that was not asked.
"""

import argparse
import contextlib
import datetime
import io
import math
import os
import re
import signal
import sys
import tempfile
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import theory
from dataselect import command_line, commands
from figures import plot
from simulate import Plan, compare, estimate
from simulate.experiment import run_experiment
from simulate.files import read_dataset, write_dataset
from simulate.pools import FittedSurrogate, SplitSizes, Study, SubsetSelector, make_pool, study
from simulate.pools.advice import advise
from simulate.sweep_file import read_problem, read_sweep

CPU_LIMIT, LIMIT = 30.0, 300.0
"""Seconds of the processor, and of the clock, after which an input hangs; most take less than 1."""

Make = Callable[[], Any]

TOML = """title = "a sweep"

[problem]
ridge = 0.1
samples_per_dimension = 2.0
loss = "LogisticLoss"

[problem.data]
kind = "SingleIndex"
link = "F1"
signal_norm = 5.0

[problem.surrogate]
kind = "GivenSurrogate"
beta_0 = 1.0
beta_s = 0.5

[problem.selection]
kind = "PowerSelection"
alpha = 0.5
fraction = 0.5

[axes]
"selection.fraction" = [0.5, 0.8]

[simulation]
dimensions = [10, 20]
data_sets = 2
seed = 3
"""

TOKENS = [
    "1", "0", "-1", "0.5", "1e-3", "1e300", "1e-300", "inf", "-inf", "nan", "true", "false",
    "9007199254740993", str(10**30), str(10**400), '""', '"f1"', '"F2"', '"hard"', '"$x_{"', '"円"',
    "[]", "[1, 2]", "[[1, 2], [3, 4]]", "{}", "{a = 1}", '{kind = "HingeLoss"}', '"HingeLoss"',
    '{kind = "RandomSelection", fraction = 0.5}', '{kind = "TopSelection", keep = "hard"}',
    '{kind = "GaussianMixture", mean_norm = 1.0}', '{kind = "nothing:Here"}', "1979-05-27",
    "07:32:00", '"a\\u0000b"', "'[bold]'", '{kind = 3}', '{kind = "Problem"}', "[nan, 1]",
    '["F1", "F2"]', '[true, false]', "0x10", "1_000", '"StepLink"', '"TrainedSurrogate"',
    '{kind = "TrainedSurrogate", samples_per_dimension = 4, ridge = 0.1}', "[0.5, 0.5]",
    '{kind = "StepLink", thresholds = [0.0], levels = [0.1, 0.9]}', "[0.1, 10, 0.01]",
]  # fmt: skip

OPTIONS = [
    "--json", "--set", "--plan", "--quiet", "--workers", "--scheduler", "--output", "--seed", "-h",
    "--help", "--full", "--quick", "--list", "--from-results", "--version", "--x", "--labels",
    "--pool-size", "--fraction", "--positive", "--theory", "--dimension", "--repeats", "--problems",
    "--no-such", "-z", "--", "", "--set=", "--output=[bold]",
]  # fmt: skip

WORDS = [
    "ridge=0.2", "ridge", "=", "selection.alpha=1", "selection=TopSelection", "loss=HingeLoss",
    "data.link=F2", "data.link=LogisticLink", "ridge=[bold]", "data.link.intercept=nan", "0", "-1",
    "1.5", "nan", "figure-2", "figure-99", "[/red]", "円", "ridge=1e400", "title=x", "problem=1",
    f"samples_per_dimension={10**400}", "surrogate=PerfectSurrogate", "selection.fraction=0",
    "fit_intercept=true", "loss={kind=\"SmoothedHingeLoss\", width=0.5}", "y", "1_0", "fraction",
]  # fmt: skip


class HangError(BaseException):
    """An input took longer than the limit."""


class WrongError(Exception):
    """An input was answered as it should not be."""


@contextmanager
def limited() -> Iterator[None]:
    """Raise HangError within after the limits."""

    def end(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = {number: signal.signal(number, end) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def choose(generator: np.random.Generator, options: Any) -> Any:
    return options[int(generator.integers(len(options)))]


# -- TOML files ----------------------------------------------------------------------------------


def some_toml(generator: np.random.Generator) -> bytes:
    """A valid sweep, with some changes."""
    lines = TOML.splitlines()
    for _ in range(generator.integers(0, 4)):
        k = int(generator.integers(len(lines)))
        match generator.integers(8):
            case 0 | 1 | 2 | 3 if "=" in lines[k]:
                lines[k] = f"{lines[k].partition('=')[0]}= {choose(generator, TOKENS)}"
            case 4:
                del lines[k]
            case 5:
                lines.insert(k, lines[k])
            case 6:
                where = choose(generator, ["selection.alpha", "ridge", "a b", "loss", '"loss"'])
                lines.insert(k, f"{where} = {choose(generator, TOKENS)}")
            case 7:
                lines[k] = lines[k][: int(generator.integers(len(lines[k]) + 1))]
    text = "\n".join(lines).encode()
    match generator.integers(12):
        case 0:
            text = text[: int(generator.integers(len(text)))]
        case 1:
            text = b"\xef\xbb\xbf" + text
        case 2:
            text = text.decode().encode("utf-16")
        case 3:
            place = int(generator.integers(len(text)))
            text = text[:place] + generator.bytes(2) + text[place:]
    return text


def try_toml(generator: np.random.Generator, folder: Path) -> None:
    path = folder / "fuzz.toml"
    path.write_bytes(some_toml(generator))
    read_problem(path)
    declared = read_sweep(path)
    content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    for name in ("ridge", "samples_per_dimension"):
        given = content["problem"][name]
        varied = any(re.fullmatch(rf"(.*\.)?{name}", c) for c in map(str, declared.frame.coords))
        if not varied and any(getattr(p, name) != float(given) for p in declared.problems):
            raise WrongError(f"{name} = {given} was changed")
    size = content["problem"]["samples_per_dimension"]
    small = all(s is None or (s.dimension <= 20 and s.repeats <= 2) for s in declared.sizes)
    if len(declared.problems) > 8 or not small or not 0.05 < size < 50 or generator.random() < 0.5:
        declared.plans()
        return
    results = run_experiment(declared)
    for axis, coordinate in declared.frame.coords.items():
        if not results[axis].identical(coordinate):
            raise WrongError(f"axis {axis} was changed")
    write_dataset(folder / "fuzz.nc", results)
    again = read_dataset(folder / "fuzz.nc")
    if [d for d in again.dims if d not in ("dimension", "data_set")]:
        plot(again).canvas.draw()
    plt.close("all")


# -- Command lines -------------------------------------------------------------------------------


def some_arguments(generator: np.random.Generator, folder: Path) -> list[str]:
    """A command with options, right or wrong."""
    file = folder / "command.toml"
    file.write_bytes(some_toml(generator) if generator.random() < 0.6 else TOML.encode())
    (folder / "pilot.csv").write_text("a,b,label\n1,2,x\n", encoding="utf-8")
    (folder / "bytes.npz").write_bytes(b"PK\x03\x04 no archive")
    (folder / "latin.csv").write_bytes(b"a,label\n1,\xe9\n2,b\n")
    names = ("command.toml", "nowhere.toml", "pilot.csv", "bytes.npz", "latin.csv", ".", "[bold]x")
    files = [str(folder / name) for name in names]
    command = choose(
        generator, ["predict"] * 4 + ["sweep", "simulate"] * 2
        + ["plot", "recommend", "advise", "reproduce", "validate", "nothing", ""],
    )  # fmt: skip
    path = files[0] if generator.random() < 0.7 else choose(generator, files)
    match command:
        case "predict" | "plot":
            arguments = [command, path]
        case "sweep" | "simulate":
            arguments = [command, path, "--output", str(folder / "store[a]")]
            arguments += ["--plan"] if generator.random() < 0.7 else []
        case "recommend":
            arguments = [command, choose(generator, files[1:])]
        case "advise":
            arguments = [command, choose(generator, files[1:]), "--labels", "label"]
            arguments += ["--pool-size", "10"]
        case "reproduce":
            arguments = [command, choose(generator, ["figure-99", "all", "figure-2"])]
            arguments += ["--from-results", "--output", str(folder / "none")]
        case "validate":
            arguments = [command, "--dimension", choose(generator, ["1", "x", "-3"])]
        case _:
            arguments = [command]
    for _ in range(generator.integers(0, 3)):
        arguments.append(choose(generator, [*OPTIONS, *OPTIONS, *WORDS]))
        if generator.random() < 0.6:
            arguments.append(choose(generator, [*WORDS, *files]))
    return arguments


def try_command(generator: np.random.Generator, folder: Path) -> None:
    arguments = some_arguments(generator, folder)
    out, errors = io.StringIO(), io.StringIO()
    status: Any = 0
    sys.argv = ["dataselect", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            command_line.main()
        except SystemExit as ended:
            status = ended.code or 0
    said = [line for line in errors.getvalue().splitlines() if line.strip()]
    if status not in (0, 1, 2):
        raise WrongError(f"exit status {status}: {arguments}")
    if status == 2 and not (said and re.match("(?i)error: ", said[-1])) and len(arguments[0]):
        raise WrongError(f"status 2 without an error: {arguments}: {said}")
    if status == 0 and said:
        raise WrongError(f"{arguments} wrote {said}")
    if status and said and said[0].startswith("error:") and len(said) > 1:
        raise WrongError(f"more than one line: {arguments}: {said}")


# -- Python arguments ----------------------------------------------------------------------------

X = np.random.default_rng(0).standard_normal((60, 3))
Y = np.where(X[:, 0] + 0.5 * np.random.default_rng(1).standard_normal(60) > 0, 1.0, -1.0)
PROBLEM = theory.Problem(
    theory.SingleIndex(theory.F1, 5.0), theory.PowerSelection(0.5, 0.5), 0.1, 2.0
)
PREDICTION = theory.predict(PROBLEM)
ESTIMATE = estimate(PROBLEM, 10, 3)
SIZES = SplitSizes(surrogate=10, test=10)

ANYTHING: list[Make] = [
    lambda: None, lambda: True, lambda: np.True_, lambda: -1, lambda: 0, lambda: 1, lambda: 2.5,
    lambda: 0.3, lambda: 1e-300, lambda: 1e300, lambda: math.nan, lambda: math.inf, lambda: -0.0,
    lambda: 10**400, lambda: 2**63, lambda: 2**128, lambda: "x", lambda: "", lambda: "ridge",
    lambda: b"1", lambda: [], lambda: [1.0], lambda: [0.1, 0.2], lambda: (1, 2), lambda: {},
    lambda: {"ridge": [0.1]}, lambda: {0.1, 0.2}, lambda: np.array(0.5), lambda: np.array([0.1, 2]),
    lambda: np.ones((2, 2)), lambda: np.array([math.nan]), lambda: np.float32(0.3),
    lambda: jnp.array(0.5), lambda: jnp.array([0.5, 0.7]), lambda: Decimal("0.3"),
    lambda: Decimal("NaN"), lambda: Fraction(1, 3), lambda: 1j, object, lambda: len, lambda: int,
    lambda: iter([0.1, 0.2]), lambda: range(3), lambda: theory.F1, lambda: theory.HingeLoss(),
    lambda: theory.HingeLoss, lambda: PROBLEM, lambda: [PROBLEM], lambda: X, lambda: Y,
    lambda: theory.TopSelection("hard", 0.4), lambda: theory.GaussianMixture(1.0),
    lambda: datetime.date(2020, 1, 1), lambda: np.datetime64("2020-01-01"), lambda: "円",
    lambda: np.array(["a", "b"]), lambda: np.array([], dtype=float), lambda: [None],
    lambda: [[1, 2], [3]], lambda: {"a": 1}, lambda: PREDICTION, lambda: Path("x"),
    lambda: theory.StepLink((0.0,), (0.1, 0.9)), lambda: theory.GivenSurrogate(1.0, 0.5),
]  # fmt: skip

KINDS: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "Problem": (theory.Problem, {
        "data": PROBLEM.data, "selection": PROBLEM.selection, "ridge": 0.1,
        "samples_per_dimension": 2.0, "surrogate": theory.PerfectSurrogate(),
        "loss": theory.LogisticLoss(), "fit_intercept": False,
    }),
    "PowerSelection": (theory.PowerSelection, {
        "alpha": 0.5, "fraction": 0.5, "reweight": False, "score_clip": 10.0,
    }),
    "TopSelection": (theory.TopSelection, {"keep": "hard", "fraction": 0.5}),
    "RandomSelection": (theory.RandomSelection, {"fraction": 0.5}),
    "BandSelection": (theory.BandSelection, {"lower": 0.1, "upper": 2.0}),
    "QuantileBandSelection": (
        theory.QuantileBandSelection, {"start": 0.2, "fraction": 0.5},
    ),
    "TabulatedSelection": (theory.TabulatedSelection, {
        "scores": (0.0, 1.0), "probabilities": (0.2, 0.4),
    }),
    "SingleIndex": (theory.SingleIndex, {"link": theory.F1, "signal_norm": 5.0}),
    "StepLink": (theory.StepLink, {"thresholds": (0.0,), "levels": (0.1, 0.9)}),
    "LogisticLink": (theory.LogisticLink, {"intercept": 0.1}),
    "GaussianMixture": (theory.GaussianMixture, {
        "mean_norm": 1.0, "positive_fraction": 0.5, "label_noise": 0.1,
    }),
    "GaussianClusters": (theory.GaussianClusters, {
        "centres": (-1.0, 1.0), "weights": (0.5, 0.5), "positive_fractions": (0.1, 0.9),
    }),
    "SmoothedHingeLoss": (theory.SmoothedHingeLoss, {"width": 0.5}),
    "GivenSurrogate": (theory.GivenSurrogate, {"beta_0": 1.0, "beta_s": 0.5, "intercept": 0.1}),
    "TrainedSurrogate": (theory.TrainedSurrogate, {"samples_per_dimension": 4.0, "ridge": 0.1}),
    "Quadrature": (theory.Quadrature, {"order": 8}),
    "Plan": (Plan, {
        "problems": [PROBLEM], "dimensions": [10], "repeats": 2, "seed": 0, "test_samples": None,
    }),
    "SplitSizes": (SplitSizes, {"surrogate": 10, "test": 10, "validation": 5, "pool": 20}),
    "FittedSurrogate": (FittedSurrogate, {"samples": 10, "ridge": 0.1}),
    "make_pool": (make_pool, {"features": X, "labels": Y, "positive": 1.0}),
}  # fmt: skip
"""What takes no time, with right arguments."""


def selected(X: Any, y: Any, selection: Any, ridge: Any, sampling: Any, n: Any) -> Any:  # noqa: N803
    selector = SubsetSelector(selection=selection, ridge=ridge, sampling=sampling, random_state=0)
    return selector.fit(X, y).select(X, n=n)


def studied(schemes: Any, fractions: Any, ridge: Any, repeats: Any, seed: Any) -> Any:
    plan = Study(
        schemes, fractions, {"s": FittedSurrogate(10)}, SIZES, ridge, repeats=repeats, seed=seed
    )
    return study(make_pool(X, Y), plan)


CALLS: dict[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "predict": (theory.predict, {"problem": PROBLEM}),
    "predict_all": (theory.predict_all, {"problems": [PROBLEM]}),
    "sweep": (theory.sweep, {"problem": PROBLEM, "axes": {"ridge": [0.1, 0.2]}}),
    "replace": (PROBLEM.replace, {"changes": {"ridge": 0.2}}),
    "gradient": (theory.gradient, {"problem": PROBLEM, "names": ["ridge"]}),
    "tune": (theory.tune, {
        "problem": PROBLEM, "over": ["ridge"], "bounds": {"ridge": (0.05, 0.2)},
        "objective": "misclassification",
    }),
    "optimal_selection": (theory.optimal_selection, {
        "problem": PROBLEM, "objective": "misclassification",
    }),
    "recommend": (theory.recommend, {
        "problem": PROBLEM, "alternatives": (), "objective": "log_loss",
    }),
    "estimate": (estimate, {
        "problem": PROBLEM, "dimension": 10, "repeats": 2, "seed": 0, "test_samples": None,
    }),
    "compare": (compare, {"prediction": PREDICTION, "estimates": [ESTIMATE]}),
    "predict_population": (theory.predict_population, {
        "features": X, "labels": Y, "inclusion_probabilities": np.full(60, 0.5), "pool_size": 60,
        "ridge": 0.1, "weights": None, "loss": None, "fit_intercept": True, "halving": None,
    }),
    "selected": (selected, {
        "X": X, "y": Y, "selection": "hard", "ridge": 0.1, "sampling": "fixed", "n": 10,
    }),
    "studied": (studied, {
        "schemes": {"hard": "hard"}, "fractions": [0.5], "ridge": 0.1, "repeats": 1, "seed": 0,
    }),
    "advise": (advise, {
        "features": X, "labels": Y, "pool_size": 50, "budget": 20, "alphas": [1.0],
        "ridges": [0.1], "folds": 2, "seed": 0, "surrogate_ridges": [0.1],
    }),
}  # fmt: skip
"""What computes; right arguments are tried rarely where that takes seconds."""

SLOW = ("tune", "optimal_selection", "recommend", "advise")


def try_python(generator: np.random.Generator, folder: Path) -> None:
    del folder
    table = KINDS if generator.random() < 0.55 else CALLS
    name = choose(generator, list(table))
    function, valid = table[name]
    arguments = dict(valid)
    for key in arguments:
        if generator.random() < 0.35:
            arguments[key] = choose(generator, ANYTHING)()
    if name == "sweep" and generator.random() < 0.6:
        field = choose(generator, ["ridge", "selection.alpha", "loss", "data.link", "nothing"])
        values = choose(generator, ANYTHING)
        arguments["axes"] = {field: choose(generator, [values(), [values()], [values(), 0.1]])}
    if name in SLOW and all(arguments[key] is valid[key] for key in valid):
        return
    try:
        result = function(**arguments)
    except theory.InvalidFieldError:
        return
    except (ValueError, TypeError) as error:
        words = [*arguments, "sample", "label", "class", "fraction", "ConvergenceError", "Problem"]
        if not any(re.search(word, str(error), re.IGNORECASE) for word in words):
            raise WrongError(f"{name}: {type(error).__name__} names nothing: {error}") from error
        return
    for key in valid:
        held, given = getattr(result, key, None), arguments[key]
        if (
            table is KINDS
            and isinstance(given, float)
            and isinstance(held, float)
            and held != given
        ):
            raise WrongError(f"{name}({key}={given!r}) holds {held!r}")


WAYS = {"command": try_command, "toml": try_toml, "python": try_python}


def try_input(seed: int, number: int) -> str | None:
    """What is wrong with the answer to an input, or None."""
    generator = np.random.default_rng([seed, number])
    name, attempt = list(WAYS.items())[number % len(WAYS)]
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.chdir(folder),
    ):
        warnings.simplefilter("error")
        try:
            with limited():
                attempt(generator, Path(folder))
        except HangError:
            return f"{name}: hangs"
        except WrongError as error:
            return f"{name}: {error}"
        except (theory.InvalidFieldError, theory.ConvergenceError):
            return None
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            words = (str(error).splitlines() or [""])[0][:200]
            return f"{name}: {type(error).__name__}: {words} ({Path(at.filename).name}:{at.lineno})"
    return None


@contextmanager
def in_this_process() -> Iterator[None]:
    """Within, commands run their tasks here, and pictures go to memory."""
    argv, backend = sys.argv, os.environ.get("MPLBACKEND")
    pool = getattr(commands, "process_pool")  # noqa: B009
    setattr(commands, "process_pool", lambda _: nullcontext())  # noqa: B010
    try:
        with mpl.rc_context({"backend": "agg"}):
            yield
    finally:
        setattr(commands, "process_pool", pool)  # noqa: B010
        sys.argv = argv
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        else:
            os.environ["MPLBACKEND"] = backend


def fuzz(inputs: int, seed: int = 0, first: int = 0) -> Iterator[tuple[int, str]]:
    """Numbers of the inputs that are answered wrongly, with what is wrong."""
    with in_this_process():
        for number in range(first, first + inputs):
            wrong = try_input(seed, number)
            if wrong is not None:
                yield number, wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    wrong = 0
    for number, text in fuzz(given.inputs, given.seed, given.first):
        print(f"{number}: {text}", flush=True)
        wrong += 1
    print(f"{given.inputs} inputs, {wrong} answered wrongly")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
