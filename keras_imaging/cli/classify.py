"""`keras-imaging classify`: what pictures show."""

import csv
import functools
import io
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.classifiers import CropOption, ImageSize, load_classifier, readable
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.places import place_of
from keras_imaging.cli.output import check_outputs, give_report, progress_bar
from keras_imaging.cli.picture_files import Outcome
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source
from keras_imaging.formats import READABLE

# Pictures that are computed together.
_TOGETHER = 16


@engines.with_engine
def classify(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures, with its subfolders. Without it the sample "
            "picture.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Which network: the folder of a run, a name of `keras-imaging weights`, a "
            ".weights.h5 file with its card, or a .keras file.",
            show_default="a shipped classifier",
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Guesses of each picture.", min=1)] = 5,
    image_size: ImageSize = None,
    crop: CropOption = None,
    csv_file: Annotated[
        pathlib.Path | None,
        typer.Option("--csv", help="Write a table: file, rank, class, probability."),
    ] = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    *,
    by: engines.Options,
) -> None:
    """Name what pictures show, by a trained classifier.

    Class names and the size of the crop come from the network's card. Files that cannot be read
    are named and skipped; the exit code is then 1.
    """
    by.check(source)
    if csv_file is not None and not by.ray:
        check_outputs([csv_file], overwrite)
    if by.ray:
        arguments = {"image_size": image_size, "crop": crop and crop.value, "top": top}
        _by_ray(source, weights, arguments, csv_file, by, as_json, overwrite)
        return
    check_source(source)
    classifier = load_classifier(weights, image_size, crop)
    with quiet_start():
        from keras_imaging.data import list_images
    if source is None:
        paths = [None]
    else:
        paths = list_images(source, recursive=True) if source.is_dir() else [source]
    written, skipped = [], {}
    with progress_bar("classify") as progress:
        for start in range(0, len(paths), _TOGETHER):
            part = paths[start : start + _TOGETHER]
            outcomes = _guessed(classifier, top, [(path, None) for path in part])
            for path, outcome in zip(part, outcomes, strict=True):
                if outcome.report is None:
                    skipped[str(path)] = outcome.reason
                else:
                    written.append(outcome.report)
            progress(start + len(part), len(paths))
    report = {"weights": classifier.name, "image_size": classifier.image_size}
    if csv_file is not None:
        report["csv"] = _write_table(csv_file, written)
    give_report({**report, "written": written, "skipped": skipped}, as_json, _tell)


def _by_ray(source, weights, arguments, csv_file, by, as_json, overwrite):
    weights = engines.lasting(weights)
    classifier = load_classifier(weights, arguments["image_size"], arguments["crop"])
    made = engines.Made(
        "classify",
        functools.partial(_walk, weights, arguments),
        {"weights": weights or classifier.name, **arguments},
        "_classes",
        suffix=None,
        recursive=True,
    )

    def is_picture(name):
        return pathlib.PurePath(name).suffix.lower() in READABLE

    report, manifest = engines.by_ray(made, source, None, by, overwrite, is_picture)
    report = {"weights": classifier.name, "image_size": classifier.image_size, **report}
    if csv_file is not None:
        report["csv"] = _write_table(csv_file, manifest.reports())
    engines.finish(report, as_json, _tell_table)


def _walk(weights, arguments):
    classifier = load_classifier(weights, arguments["image_size"], arguments["crop"])
    return functools.partial(_guessed, classifier, arguments["top"])


def _guessed(classifier, top, jobs):
    """Outcomes of pictures that are computed together; None stands for the sample picture."""
    from keras_imaging.data import sample_image
    from keras_imaging.inference.classification import classify as guess

    read, skipped = [], {}
    if jobs == [(None, None)]:
        read, pictures = [None], [sample_image()]
    else:
        pictures = readable([path for path, _ in jobs], read, skipped)
    guesses = guess(
        pictures,
        classifier.model,
        classifier.image_size,
        classifier.crop,
        classifier.class_names,
        top,
    )
    # `read` grows as `guess` goes on.
    found = [_told(read[number], one) for number, one in enumerate(guesses)]
    told = dict(zip(read, found, strict=True))
    return [
        Outcome(told[path]) if path in told else Outcome(None, skipped[str(path)])
        for path, _ in jobs
    ]


def _told(path, guesses):
    return {
        "input": path or "the sample picture",
        "guesses": [
            {"label": g.label, "class": g.name, "probability": round(g.probability, 6)}
            for g in guesses
        ],
    }


def _write_table(path, written):
    with quiet_start():
        from keras_imaging.data.files import replacing
    with replacing(path) as file:
        for row in _table(written):
            file.write(row.encode())
    return path


def _table(written):
    """The rows, as they are written."""
    yield "file,rank,class,probability\n"
    for item in written:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        for rank, guess in enumerate(item["guesses"], start=1):
            rows.writerow([item["input"], rank, guess["class"], guess["probability"]])
        yield text.getvalue()


def _tell(report):
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not report["written"]:
        return
    table = Table()
    table.add_column("picture")
    for rank in range(1, 1 + len(report["written"][0]["guesses"])):
        table.add_column(f"guess {rank}" if rank > 1 else "likeliest")
    for item in report["written"]:
        cells = [f"{escape(g['class'])} {g['probability']:.1%}" for g in item["guesses"]]
        table.add_row(escape(str(item["input"])), *cells)
    Console().print(table)
    _tell_table(report)


def _tell_table(report):
    if "csv" in report:
        typer.echo(f"Wrote {report['csv']}")
