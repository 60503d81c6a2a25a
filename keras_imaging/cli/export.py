"""`keras-imaging export`: models into files for phones and servers."""

import contextlib
import enum
import os
import pathlib
from collections.abc import Iterator
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_folder, check_targets, check_weights
from keras_imaging.export.versions import version_folder

# Calibration is slow, and more pictures than these change little.
_CALIBRATION_PICTURES = 100
# Of networks other than enlarging ones, which are shown one whole picture.
_VERIFIED_INPUTS = 4
_DEFAULT = "rdidn_x2"


class Format(enum.StrEnum):
    """What to write."""

    LITERT = "litert"
    SAVED_MODEL = "saved_model"


class Quantization(enum.StrEnum):
    """How numbers are stored in a LiteRT file, see `keras_imaging.export.to_litert`."""

    FLOAT16 = "float16"
    DYNAMIC = "dynamic"
    INT8 = "int8"
    INT16X8 = "int16x8"
    INT8_ISLANDS = "int8_islands"
    INT8_SPATIAL = "int8_spatial"


def export(
    weights: options.weights(_DEFAULT) = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Which one, of a run of several or a pair such as faceguard_base: encoder or "
            "decoder.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="LiteRT file for phones, or SavedModel folder for servers.")
    ] = Format.LITERT,
    quantization: Annotated[
        Quantization | None,
        typer.Option(help="Smaller numbers in a LiteRT file.", show_default="float32"),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(min=1, help="Fixed height of input pictures.", show_default="any"),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=1, help="Fixed width of input pictures.", show_default="any"),
    ] = None,
    calibration: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Folder of pictures like those the network will see, with its subfolders, for the "
            "int modes.",
            show_default="the sample picture, or random sparse codes",
        ),
    ] = None,
    preprocessing: Annotated[
        bool,
        typer.Option(
            help="Let the file of a classifier take pixels of 0..255, bytes if int8, and "
            "standardize them."
        ),
    ] = False,
    version: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of a SavedModel: it is written to OUT/VERSION, where TensorFlow Serving looks.",
            show_default="the one after the newest",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=10_000,
            help="Of a picture file that a SavedModel takes.",
            show_default="24,000,000",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Of the timed runs.")] = 1,
    out: options.Out = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a network as a LiteRT file or a SavedModel, proved equal to the Keras model.

    The report is made on the sample picture, or on measurements of random sparse codes. Pictures
    for calibration that cannot be read are named and skipped; the exit code is then 1.
    """
    if format is Format.SAVED_MODEL:
        asked = preprocessing or None
        _refuse(quantization=quantization, height=height, width=width, calibration=calibration)
        _refuse(preprocessing=asked)
    else:
        _refuse(Format.SAVED_MODEL, version=version, max_pixels=max_pixels)
    if calibration is not None and not (quantization and quantization.value.startswith("int")):
        raise ValueError("--calibration is for --quantization int8, int16x8 or int8_islands.")
    skipped = []
    weights = weights or _DEFAULT
    check_weights(weights)
    check_folder(calibration)
    out = out or _default_path(_name(weights, network), format, quantization)
    if format is Format.SAVED_MODEL:
        out = version_folder(out, version, overwrite)
        if not out.parent.is_dir():
            check_outputs([out.parent], overwrite=False)
    else:
        check_targets([out], overwrite, (".tflite",))
    with _quietly(f"Exporting {weights}"):
        card = _card_of(weights, network)
        network = _load(weights, network)
        if format is Format.SAVED_MODEL:
            result, shown = _saved_model(network.model, out, card, max_pixels)
        else:
            shapes = _shapes(network, height, width)
            samples, skipped = _calibration(network, shapes, calibration, card)
            result, shown = _litert(
                network.model, out, quantization, shapes, samples, threads, preprocessing, card
            )
    if as_json:
        print_json({"weights": network.name, "format": format.value, **result})
    else:
        _print(shown)
    for reason in skipped:
        typer.echo(f"Skipped: {reason}", err=True)
    if skipped:
        raise typer.Exit(1)


def _refuse(format=Format.LITERT, **given):
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise ValueError(f"{', '.join(names)}: only for --format {format.value}.")


@contextlib.contextmanager
def _quietly(text: str) -> Iterator[None]:
    """Show that something is going on, in place of what the converters write on stderr."""
    from rich.console import Console

    with os.fdopen(os.dup(2), "w") as stderr:
        try:
            with Console(file=stderr).status(text), quiet_start():
                yield
        except ImportError as error:
            raise ValueError(str(error)) from error


def _load(weights, network):
    from keras_imaging.cli.networks import load_network

    found = load_network(weights, network=network)
    return found._replace(name=_name(weights, network))


def _card_of(weights, network):
    from keras_imaging.models import card_of

    return card_of(weights, network)


def _name(weights, network):
    name = pathlib.Path(weights).name
    return name if network is None else f"{name}_{network}"


def _shapes(network, height, width):
    """Shapes of the inputs, with the sides that were asked for."""
    from keras_imaging.export.inputs import input_shapes, is_image
    from keras_imaging.models.pretrained import PretrainedModel

    shapes = input_shapes(network.model)
    if height is None and width is None:
        return shapes
    if not any(None in shape for shape in shapes.values()):
        raise ValueError(
            f"--height, --width: {network.name} takes inputs of fixed shape, {shapes}."
        )
    if isinstance(network.model, PretrainedModel):
        wanted = network.model.shapes_of_size(height, width)
    else:
        wanted = {n: (height, width, s[-1]) if is_image(s) else s for n, s in shapes.items()}
    # Sides that the network fixes stay as they are.
    return {
        name: tuple(b if a is None else a for a, b in zip(shape, wanted[name], strict=True))
        for name, shape in shapes.items()
    }


def _default_path(name, format, quantization):
    stem = name.removesuffix(".keras").removesuffix(".weights.h5")
    if format is Format.SAVED_MODEL:
        return pathlib.Path(stem)
    return pathlib.Path(f"{stem}{f'_{quantization.value}' if quantization else ''}.tflite")


def _calibration(network, shapes, folder, card):
    """Inputs made of the pictures of a folder, and why some were left out."""
    if folder is None:
        return None, []
    from keras_imaging.data.picture_parts import fitted
    from keras_imaging.models.pretrained import PretrainedModel

    model = network.model
    shape = model.picture_shape(shapes) if isinstance(model, PretrainedModel) else None
    if shape is None:
        raise ValueError(f"--calibration: {network.name} does not take pictures.")
    pictures, skipped = _read_pictures(folder, shape[-1])
    if model.task == "classification" and shape[0] is not None and shape[0] == shape[1]:
        from keras_imaging.data import central_crop

        crop = card.get("recipe", {}).get("crop", "resized")
        return [central_crop(picture, shape[0], crop) for picture in pictures], skipped
    return model.inputs_of([fitted(picture, shape) for picture in pictures]), skipped


def _read_pictures(folder, channels):
    import numpy as np

    from keras_imaging.data.degradations import luma
    from keras_imaging.data.images import list_images, read_image
    from keras_imaging.inference.pictures import to_eight_bits

    paths = list_images(folder, recursive=True)
    pictures, skipped = [], []
    for path in paths[:: -(-len(paths) // _CALIBRATION_PICTURES)]:
        try:
            picture = read_image(path)
        except ValueError as error:
            skipped.append(str(error))
            continue
        picture = to_eight_bits(picture)
        if channels == 1:
            pictures.append(luma(picture)[..., None])
        else:
            pictures.append(np.atleast_3d(picture)[..., :3] * np.ones(3, "uint8"))
    if not pictures:
        raise ValueError(f"No picture in {str(folder)!r} can be read: {'; '.join(skipped)}")
    return pictures, skipped


def _litert(model, out, quantization, shapes, samples, threads, preprocessing, card):
    from keras_imaging.export import to_litert, verify
    from keras_imaging.export.inputs import noise
    from keras_imaging.export.samples import enlarges, sample_inputs

    name = quantization.value if quantization else None
    to_litert(
        model,
        out,
        name,
        input_shape=shapes,
        calibration=samples,
        preprocessing=preprocessing,
        class_names=card.get("class_names"),
    )
    if enlarges(model):
        (shape,) = shapes.values()
        small, truth = model.sample_pair(*shape[:2])
        report = verify(model, out, [small], [truth], threads=threads)
    else:
        model = model.taking_pixels() if preprocessing else model
        data = sample_inputs(model, shapes) or [noise(shapes)]
        report = verify(model, out, data[:_VERIFIED_INPUTS], threads=threads)
    return report.to_dict(), report


def _saved_model(model, out, card, max_pixels):
    from keras_imaging.export import to_saved_model
    from keras_imaging.export.saved_model import MAX_PIXELS, signatures

    recipe = card.get("recipe", {})
    made = not out.parent.exists()
    out.parent.mkdir(exist_ok=True)
    try:
        to_saved_model(
            model,
            out,
            max_pixels or MAX_PIXELS,
            image_size=recipe.get("image_size"),
            crop=recipe.get("crop"),
            class_names=card.get("class_names"),
        )
    except BaseException:
        if made:
            out.parent.rmdir()
        raise
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    found = signatures(out)
    result = {
        "path": out,
        "size_bytes": size,
        "signatures": list(found),
        "inputs": found["serving_default"]["inputs"],
        "outputs": found["serving_default"]["outputs"],
    }
    lines = [
        f"  {name:16s} {', '.join(ends['inputs'])} -> {', '.join(ends['outputs'])}"
        for name, ends in found.items()
    ]
    return result, (
        f"Wrote {out} ({size / 1e6:.2f} MB), with the signatures\n"
        + "\n".join(lines)
        + f"\nServe it with: keras-imaging serve {out.parent}"
    )


def _print(shown):
    from rich.console import Console

    Console(highlight=False).print(shown, markup=False)
