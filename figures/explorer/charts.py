"""The explorer's pictures, as Vega-Lite charts: they say on hover what a point is."""

import altair as alt
import pandas as pd

from figures.explorer.lines import OPTIMUM
from figures.explorer.state import STYLES, State

OPTIMUM_COLOUR = "#000000"
LABELS = {
    "fraction": "fraction kept, n/N",
    "ridge": "ridge λ",
    "exponent": "exponent α",
    "samples_per_dimension": "samples per dimension, N/p",
    "misclassification": "misclassification (%)",
    "log_loss": "log loss (nats)",
    "alpha_0": "α₀",
    "alpha_s": "αₛ",
    "alpha_perp": "‖α⊥‖",
}
LOGARITHMIC = ("ridge", "samples_per_dimension")
PERCENT = "misclassification"
HEIGHT = 380
"""Of the main chart, in pixels."""

AS_SVG = {"embedOptions": {"renderer": "svg"}}
"""Drawn as SVG every point can be read, by screen readers and by tests."""

AnyChart = alt.LayerChart | alt.FacetChart


def line_chart(
    state: State, lines: pd.DataFrame, full: float, points: pd.DataFrame | None = None
) -> AnyChart:
    """Lines of theory, the level of the full sample, simulated points with their error bars.

    lines: as ``predicted_lines`` gives them. Where a line has a gap, a cross at the bottom says why
    on hover. points: columns scheme, x, mean, standard_error.
    """
    scale = 100 if state.quantity == PERCENT else 1
    names = list(dict.fromkeys(lines.scheme))
    colours = [OPTIMUM_COLOUR if n == OPTIMUM else STYLES[n].colour for n in names]
    colour = alt.Color("scheme:N", title=None, scale=alt.Scale(domain=names, range=colours))
    x = alt.X(
        "x:Q",
        title=LABELS[state.x],
        scale=alt.Scale(type="log" if state.x in LOGARITHMIC else "linear", zero=False, nice=False),
    )
    drawn = lines.assign(value=lines.value * scale)
    y = alt.Y("value:Q", title=LABELS[state.quantity], scale=alt.Scale(zero=False))
    hover = [
        alt.Tooltip("scheme:N"),
        alt.Tooltip("x:Q", title=LABELS[state.x], format=".4g"),
        alt.Tooltip("value:Q", title=LABELS[state.quantity], format=".4f"),
        alt.Tooltip("ridge:Q", format=".3g"),
    ]
    layers: list[alt.Chart] = [
        alt.Chart(drawn)
        .mark_line(point=alt.OverlayMarkDef(size=22), interpolate="monotone")
        .encode(x=x, y=y, color=colour, tooltip=hover)
    ]
    gaps = lines[lines.value.isna()]
    if len(gaps):
        layers.append(
            alt.Chart(gaps)
            .mark_point(shape="cross", size=60, angle=45)
            .encode(
                x=x,
                y=alt.value(HEIGHT - 8),
                color=colour,
                tooltip=["scheme:N", alt.Tooltip("x:Q", format=".4g"), "reason:N"],
            )
        )
    if full == full and state.x == "fraction" and not state.tuned:
        level = pd.DataFrame({"value": [full * scale], "what": ["full sample"]})
        rule = alt.Chart(level).mark_rule(strokeDash=[3, 3], color="#777777")
        layers.append(rule.encode(y="value:Q", tooltip=["what:N", "value:Q"]))
    if points is not None and len(points):
        layers += _simulated(points, x, colour, scale)
    return alt.layer(*layers).properties(width="container", height=HEIGHT, usermeta=AS_SVG)


def _simulated(points: pd.DataFrame, x: alt.X, colour: alt.Color, scale: float) -> list[alt.Chart]:
    drawn = points.assign(
        mean=points["mean"] * scale,
        low=(points["mean"] - points.standard_error) * scale,
        high=(points["mean"] + points.standard_error) * scale,
    )
    base = alt.Chart(drawn).encode(x=x, color=colour)
    hover = ["scheme:N", alt.Tooltip("mean:Q", format=".4f"), alt.Tooltip("repeats:Q")]
    return [
        base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=70, shape="square").encode(y="mean:Q", tooltip=hover),
    ]


def rule_chart(state: State, table: pd.DataFrame) -> AnyChart:
    """The selection rule over the score's density."""
    style = STYLES[state.shown]
    base = alt.Chart(table).encode(x=alt.X("score:Q", title="score t", scale=alt.Scale(nice=False)))
    area = base.mark_area(color="#bbbbbb", opacity=0.5).encode(
        y=alt.Y("density:Q", title="density of the score", axis=alt.Axis(orient="right"))
    )
    line = base.mark_line(color=style.colour, strokeWidth=2.5).encode(
        y=alt.Y(
            "probability:Q", title="kept with probability π(t)", scale=alt.Scale(domain=[0, 1])
        ),
        tooltip=[alt.Tooltip("score:Q", format=".2f"), alt.Tooltip("probability:Q", format=".3f")],
    )
    chart = alt.layer(area, line).resolve_scale(y="independent")
    sized: AnyChart = chart.properties(width="container", height=170, usermeta=AS_SVG)
    return sized
