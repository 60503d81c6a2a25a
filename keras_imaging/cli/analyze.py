"""`keras-imaging analyze`: the deep frame potential of networks, and their ranking by it."""

import csv
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, print_json, progress_bar
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file


def analyze(
    models: Annotated[
        list[str],
        typer.Argument(
            help=".keras files, folders of them, names of networks such as idn_small_x2, or widths "
            "of dense layers such as 3072-64-32-64, the input's first."
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            help="current: those of the model. random: He's, mean of several draws. minimum: those "
            "of least F.",
            show_default="current, random of widths",
        ),
    ] = "",
    form: Annotated[
        str, typer.Option(help="multi_target, paper, lower_triangular or synthesis.")
    ] = "multi_target",
    count: Annotated[str, typer.Option(help="Entries counted: pattern or blocks.")] = "pattern",
    pooling: Annotated[
        str, typer.Option(help="Max pooling counts as the mean (average) or is refused (raise).")
    ] = "average",
    unknown: Annotated[
        str, typer.Option(help="Unknown layers are refused (raise) or skipped (identity).")
    ] = "raise",
    max_params: Annotated[
        int | None, typer.Option(help="Leave out networks of more parameters.", show_default=False)
    ] = None,
    max_macs: Annotated[
        int | None,
        typer.Option(help="Leave out networks of more multiplications.", show_default=False),
    ] = None,
    scores: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="A CSV file of names and measured errors, one network a row, to compare with.",
            show_default=False,
        ),
    ] = None,
    csv_file: Annotated[
        pathlib.Path | None, typer.Option("--csv", help="Write the table.", show_default=False)
    ] = None,
    plot: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Write a picture: F against parameters and scores, or of one network its blocks.",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Of random weights.")] = 3,
    seed: Annotated[int, typer.Option(help="Of random weights and searches.")] = 0,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """How alike a network's atoms are, F; of several networks, a ranking. Lower is better.

    F needs no data and no training. What it says of test errors, and when not to use it, stands in
    docs/frame_potential.md. Networks that cannot be scored are named; the exit code is then 1.
    """
    check_file(scores)
    check_outputs([path for path in (csv_file, plot) if path is not None], overwrite)
    candidates = _candidates(models)
    with quiet_start():
        from keras_imaging import analysis
    chosen = weights or ("random" if all(isinstance(c, list) for c in candidates.values()) else "")
    settings = {
        "weights": chosen or "current",
        "form": form,
        "count": count,
        "pooling": pooling,
        "unknown": unknown,
        "draws": draws,
        "seed": seed,
    }
    errors = None if scores is None else _read_scores(scores, candidates)
    with progress_bar("networks") as progress, quiet_start():
        ranking = analysis.rank(candidates, max_params, max_macs, progress, **settings)
    report = ranking.to_dict()
    if errors is not None:
        report["correlations"] = _correlations(ranking, errors)
    if csv_file is not None:
        _write_csv(csv_file, ranking.rows(), errors)
    alone = len(candidates) == 1
    if plot is not None:
        subject = ranking.results[ranking.best] if alone else ranking
        _draw(subject, plot, errors)
    if as_json:
        print_json(ranking.results[ranking.best].to_dict() if alone else report)
    else:
        _tell(ranking, alone, report)
    if ranking.failures:
        raise typer.Exit(1)


def _candidates(models):
    """What to rank, by name."""
    found = {}
    for model in models:
        path = pathlib.Path(model)
        widths = model.split("-")
        if path.is_dir() and not any(path.glob("*.weights.h5")):
            files = sorted(path.glob("*.keras"))
            if not files:
                raise ValueError(f"There is no .keras file in the folder {model!r}.")
            found.update({file.name: file for file in files})
        elif len(widths) > 1 and all(width.isdecimal() for width in widths):
            found[model] = [int(width) for width in widths]
        else:
            found[path.name if path.suffix == ".keras" else model] = model
    return found


def _read_scores(path, candidates):
    """Errors by the names of the candidates."""
    try:
        with open(path, newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"Cannot read scores from {str(path)!r}: {error}") from error
    errors = {}
    for number, row in enumerate(rows):
        try:
            errors[row[0].strip()] = float(row[1])
        except (IndexError, ValueError):
            # The first row may name the columns.
            if number:
                raise ValueError(
                    f"Row {number + 1} of {str(path)!r} must be a name and a number. Received: "
                    f"{row}"
                ) from None
    result, missing = {}, []
    for name in candidates:
        key = next((k for k in (name, pathlib.Path(name).stem) if k in errors), None)
        if key is None:
            missing.append(name)
        else:
            result[name] = errors[key]
    if missing:
        raise ValueError(f"{str(path)!r} has no row for {', '.join(missing)}.")
    return result


def _correlations(ranking, errors):
    from keras_imaging.analysis import correlation

    names = list(ranking.results)
    if len(names) < 3:
        raise ValueError(f"--scores needs at least three networks. Received: {len(names)}")
    results = ranking.results.values()
    error = [errors[name] for name in names]
    columns = {"F": [r.value for r in results], "parameters": [r.parameters for r in results]}
    if all(r.macs is not None for r in results):
        columns["multiplications"] = [r.macs for r in results]
    report = {}
    for label, values in columns.items():
        row = {
            "spearman": correlation.bootstrap(correlation.spearman, values, error),
            "kendall": correlation.bootstrap(correlation.kendall, values, error),
        }
        for given in ("parameters", "multiplications"):
            if label == "F" and given in columns:
                row[f"spearman given {given}"] = correlation.bootstrap(
                    correlation.partial_spearman, values, error, columns[given]
                )
        report[label] = {name: vars(value) for name, value in row.items()}
    return report


def _write_csv(path, rows, errors):
    part = path.with_name(f".{path.name}.part")
    with open(part, "w", newline="") as file:
        fields = list(rows[0]) + ["score"] * (errors is not None)
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        for row in rows:
            writer.writerow(row if errors is None else {**row, "score": errors[row["name"]]})
    part.replace(path)


def _draw(subject, path, errors):
    part = path.with_name(f".{path.stem}.part{path.suffix or '.png'}")
    try:
        if errors is None or not hasattr(subject, "results"):
            subject.plot(part)
        else:
            subject.plot(part, errors, "measured error")
    except ImportError as error:
        raise ValueError(
            f'--plot needs matplotlib: pip install "keras-imaging[analysis]" ({error})'
        ) from error
    part.replace(path)


def _tell(ranking, alone, report):
    from rich.console import Console

    console = Console(highlight=False)
    console.print(ranking.results[ranking.best] if alone else ranking)
    if not alone:
        for name, result in ranking.results.items():
            for remark in result.remarks:
                typer.echo(f"{name}: {remark}")
    for label, row in report.get("correlations", {}).items():
        for measure, value in row.items():
            shown = "undefined: one explains the other wholly"
            if value["value"] == value["value"]:
                shown = f"{value['value']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"
            typer.echo(f"{label} and score, {measure}: {shown}")
    for names, label in ((ranking.too_large, "Left out"), (ranking.failures, "Failed")):
        for name, reason in names.items():
            typer.echo(f"{label}: {name}: {reason}", err=True)
