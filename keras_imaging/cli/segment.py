"""`keras-imaging segment`: a class for every pixel of pictures."""

import pathlib
import time
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, give_report, progress_bar, target_of
from keras_imaging.cli.picture_files import files_of, possible, targets_of, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source, check_targets, check_weights
from keras_imaging.picture_size import size_text

_ENDING = "_classes"


def segment(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it a generated scene of textured "
            "shapes is segmented.",
            show_default=False,
        ),
    ] = None,
    out: options.Out = None,
    weights: options.weights("a shipped segmenter") = None,
    tile: Annotated[
        int,
        typer.Option(min=1, help="Side of the network's input in pixels; smaller takes less."),
    ] = 512,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Find the class of every pixel with a trained network.

    Writes PICTURE_classes.png, a PNG of class numbers with a palette, and PICTURE_overlay.png, the
    picture under the colours of its classes, beside the picture, or into FOLDER_classes, unless
    --out says otherwise. Files of a folder that cannot be read are named and skipped; the exit code
    is then 1.
    """
    check_source(source)
    check_weights(weights)
    skipped = {}
    if source is not None and source.is_dir():
        files = files_of(source)
        targets = targets_of(source, files, out, _ENDING)
        jobs, skipped = possible(list(zip(files, targets, strict=True)), overwrite, overlay_of)
    else:
        default = pathlib.Path("sample.png") if source is None else source
        target = target_of(out, default.with_name(f"{default.stem}{_ENDING}.png"))
        check_targets([target], overwrite, (".png",))
        check_outputs([overlay_of(target)], overwrite)
        jobs = [(source, target)]
    with quiet_start():
        from keras_imaging import models
        from keras_imaging.cli.networks import load_network
    if weights is None:
        shipped = models.names_for("segmentation")
        if not shipped:
            raise ValueError(
                "No segmenter is shipped. Train one with `keras-imaging train segmentation`, and "
                "give it as --weights."
            )
        weights = shipped[0]
    network = load_network(weights, "segmentation")
    names = models.card_of(weights).get("class_names")

    def work(path, target, **settings):
        return _segment_one(network.model, names, path, target, tile=tile, **settings)

    if source is not None and source.is_dir():
        report = work_on(jobs, skipped, work, source.name)
    else:
        with progress_bar("segment") as progress:
            report = {"written": [work(*jobs[0], progress=progress)]}
    give_report({"weights": network.name, **report}, as_json, _tell)


def overlay_of(target: pathlib.Path) -> pathlib.Path:
    """The picture that shows the classes on the original."""
    stem = target.stem.removesuffix(_ENDING)
    return target.with_name(f"{stem}_overlay.png")


def _segment_one(model, names, path, target, **settings):
    import numpy as np

    from keras_imaging.data.classification import pixels
    from keras_imaging.data.images import write_image
    from keras_imaging.data.segmentation import overlay, segmentation_scenes, write_mask
    from keras_imaging.inference import segment as classes_of

    began = time.monotonic()
    image = pixels(path) if path is not None else segmentation_scenes(1, (192, 256), seed=2)[0][0]
    mask = classes_of(model, image, **settings)
    write_mask(target, mask)
    write_image(overlay_of(target), overlay(image, mask))
    numbers, counts = np.unique(mask, return_counts=True)
    shares = {
        str(number) if names is None else names[number]: round(count / mask.size, 4)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
    }
    return {
        "input": "a generated scene" if path is None else path,
        "output": target,
        "overlay": overlay_of(target),
        "height": mask.shape[0],
        "width": mask.shape[1],
        "shares": shares,
        "seconds": round(time.monotonic() - began, 2),
    }


def _tell(report):
    for item in report["written"]:
        shares = sorted(item["shares"].items(), key=lambda pair: -pair[1])
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares[:5])
        typer.echo(
            f"Wrote {item['output']} and {item['overlay'].name}: "
            f"{size_text(item['height'], item['width'])}, {told}, by {report['weights']} in "
            f"{item['seconds']} s."
        )
