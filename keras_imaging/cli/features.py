"""`keras-imaging features`: what a network sees in pictures, as arrays."""

import io
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.classifiers import CropOption, ImageSize, load_classifier, readable
from keras_imaging.cli.output import check_outputs, give_report
from keras_imaging.cli.quiet import quiet_start


def features(
    source: Annotated[
        pathlib.Path, typer.Argument(help="A picture or a folder of pictures, with subfolders.")
    ],
    out: Annotated[pathlib.Path, typer.Option(help="File to write, .npz.")],
    weights: Annotated[
        str | None,
        typer.Option(help="Which network, as of `classify`.", show_default="a shipped classifier"),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="P2 ... P5: features at a stride of 4 ... 32.", show_default="the last one"
        ),
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Keep the maps; else their means over all positions.")
    ] = False,
    image_size: ImageSize = None,
    crop: CropOption = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a trained network's features of pictures, for search or a classifier of your own.

    The file holds `files` and `features`, (pictures, channels), or with --maps (pictures, rows,
    columns, channels). Files that cannot be read are named and skipped; the exit code is then 1.
    """
    if not source.exists():
        raise ValueError(f"There is no file or folder {str(source)!r}.")
    if out.suffix != ".npz":
        raise ValueError(f"Expected a file name that ends with .npz. Received: {str(out)!r}")
    check_outputs([out], overwrite)
    classifier = load_classifier(weights, image_size, crop)
    with quiet_start():
        import keras
        import numpy as np

        from keras_imaging.data import list_images
        from keras_imaging.data.files import replacing
        from keras_imaging.inference.classification import computed
    model = classifier.model
    levels = model.pyramid_outputs
    level = level or list(levels)[-1]
    if level not in levels:
        raise ValueError(f"--level must be one of {', '.join(levels)}. Received: {level}")
    output = levels[level]
    if not maps:
        output = keras.layers.GlobalAveragePooling2D(dtype="float32")(output)
    network = keras.Model(model.input, output)
    paths = list_images(source, recursive=True) if source.is_dir() else [source]
    files, skipped = [], {}
    pictures = readable(paths, files, skipped)
    rows = list(computed(pictures, network, classifier.image_size, classifier.crop, model.prepare))
    if not rows:
        raise ValueError(f"There is no picture that can be read in {str(source)!r}.")
    arrays = io.BytesIO()
    np.savez(arrays, files=[str(path) for path in files], features=np.stack(rows))
    with replacing(out) as file:
        file.write(arrays.getvalue())
    report = {
        "weights": classifier.name,
        "level": level,
        "out": out,
        "shape": list(np.stack(rows).shape),
        "written": [str(path) for path in files],
        "skipped": skipped,
    }
    give_report(report, as_json, _tell)


def _tell(report):
    typer.echo(
        f"Wrote {report['out']}: {report['level']} of {report['weights']} for "
        f"{len(report['written'])} pictures, {tuple(report['shape'])}."
    )
