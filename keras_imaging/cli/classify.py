"""`keras-imaging classify`: what pictures show."""

import csv
import io
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.classifiers import CropOption, ImageSize, load_classifier, readable
from keras_imaging.cli.output import check_outputs, give_report, progress_bar
from keras_imaging.cli.quiet import quiet_start


def classify(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
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
) -> None:
    """Name what pictures show, by a trained classifier.

    Class names and the size of the crop come from the network's card. Files that cannot be read
    are named and skipped; the exit code is then 1.
    """
    if source is not None and not source.exists():
        raise ValueError(f"There is no file or folder {str(source)!r}.")
    if csv_file is not None:
        check_outputs([csv_file], overwrite)
    classifier = load_classifier(weights, image_size, crop)
    with quiet_start():
        from keras_imaging.data import list_images, sample_image
        from keras_imaging.data.files import replacing
        from keras_imaging.inference.classification import classify as guess
    skipped = {}
    if source is None:
        pictures, paths = iter([sample_image()]), ["the sample picture"]
    else:
        paths = list_images(source, recursive=True) if source.is_dir() else [source]
        total, names = len(paths), paths
        paths = []
        pictures = readable(names, paths, skipped, classifier)
    results = []
    with progress_bar("classify") as progress:
        for guesses in guess(
            pictures,
            classifier.model,
            classifier.image_size,
            classifier.crop,
            classifier.class_names,
            top,
        ):
            results.append(guesses)
            if source is not None:
                progress(len(results), total)
    written = [
        {
            "input": path,
            "guesses": [
                {"label": g.label, "class": g.name, "probability": round(g.probability, 6)}
                for g in guesses
            ],
        }
        for path, guesses in zip(paths, results, strict=True)
    ]
    if csv_file is not None:
        with replacing(csv_file) as file:
            file.write(_table(written).encode())
    report = {"weights": classifier.name, "image_size": classifier.image_size}
    if csv_file is not None:
        report["csv"] = csv_file
    give_report({**report, "written": written, "skipped": skipped}, as_json, _tell)


def _table(written):
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "rank", "class", "probability"])
    for item in written:
        for rank, guess in enumerate(item["guesses"], start=1):
            rows.writerow([item["input"], rank, guess["class"], guess["probability"]])
    return text.getvalue()


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
    if "csv" in report:
        typer.echo(f"Wrote {report['csv']}")
