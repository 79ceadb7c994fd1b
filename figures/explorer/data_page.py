"""The explorer's second page, a marimo notebook: a labelled pilot of one's own, and the advice."""

import marimo

__generated_with = "0.16.0"
app = marimo.App(width="full", app_title="Data selection: your own data")


@app.cell
def _():
    import marimo as mo

    from figures import advice_plot
    from figures.explorer import pilot
    from simulate.pools.advice import advise
    from simulate.pools.optional import PoolError
    from theory import InvalidFieldError

    return InvalidFieldError, PoolError, advice_plot, advise, mo, pilot


@app.cell
def _(mo):
    upload = mo.ui.file(
        filetypes=[".csv", ".npz", ".parquet"],
        kind="area",
        label="A labelled pilot: CSV, Parquet, npz",
    )
    labels = mo.ui.text(value="label", label="column (or array) of the labels")
    positive = mo.ui.text(value="", label="label that counts as +1 (if not all classes)")
    pool_size = mo.ui.number(start=2, stop=10**9, value=10_000, label="samples in the pool")
    fraction = mo.ui.slider(
        steps=[k / 50 for k in range(1, 51)], value=0.3, label="share to label", show_value=True
    )
    go = mo.ui.run_button(label="Predict")
    return fraction, go, labels, pool_size, positive, upload


@app.cell
def _(
    InvalidFieldError,
    PoolError,
    advice_plot,
    advise,
    fraction,
    go,
    labels,
    mo,
    pilot,
    pool_size,
    positive,
    upload,
):
    if not upload.value:
        answer = mo.md("Choose a file: rows are samples, all other columns are numeric features.")
    elif not go.value:
        answer = mo.md(f"`{upload.value[0].name}` is here. Go on with the button.")
    else:
        try:
            with mo.status.spinner(title="Predicting every scheme, fraction and ridge"):
                _pilot = pilot.read_upload(
                    upload.value[0].name, upload.value[0].contents, labels.value, positive.value
                )
                _advice = advise(*_pilot, pool_size.value, fraction=fraction.value)
            answer = mo.vstack(
                [
                    mo.callout(mo.md("\n\n".join(_advice.lines())), kind="success"),
                    mo.as_html(advice_plot(_advice.table)),
                    mo.download(
                        _advice.table.to_csv(index=False, encoding="utf-8").encode(),
                        "advice.csv",
                        label="CSV",
                    ),
                    mo.ui.table(_advice.table, selection=None),
                ]
            )
        except (InvalidFieldError, PoolError, OSError) as _error:
            answer = mo.callout(str(_error), kind="danger")
    return (answer,)


@app.cell
def _(answer, fraction, go, labels, mo, pool_size, positive, upload):
    mo.vstack(
        [
            mo.md("# Your own data\n[Back to the model](.)"),
            mo.hstack(
                [mo.vstack([upload, labels, positive, pool_size, fraction, go]), answer],
                widths=[1, 3],
                align="start",
                gap=2,
            ),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
