"""`keras-imaging convert`: published weights of other libraries into files of this one."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, print_json
from keras_imaging.cli.quiet import quiet_start

_WEIGHTS = ".weights.h5"


def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="A .safetensors, .pth, .npz, .h5 or .caffemodel file, or hf:OWNER/NAME of the "
            "Hugging Face hub, such as hf:timm/resnetrs50.tf_in1k."
        ),
    ],
    preset: Annotated[str, typer.Option(help="Whose weights they are, such as resnet_rs50.")],
    out: Annotated[pathlib.Path, typer.Option(help="File to write, .weights.h5 or .keras.")],
    classes: Annotated[
        pathlib.Path | None,
        typer.Option(help="A text file with one class name a line, for the card."),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side of the pictures that it was trained on, for the card.", show_default="none"
        ),
    ] = None,
    drop_background: Annotated[
        bool,
        typer.Option(
            "--drop-background",
            help='Leave out the first class of 1001, "none of them", as of TensorFlow\'s networks.',
        ),
    ] = False,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Convert published weights; of another number of classes, the network gets as many.

    Reads ResNet-RS of timm and of Keras 2, VOLO of its authors and of timm, FFC-ResNet, LaMa, IMDN
    and Video Seal of PyTorch, and IDN of Caffe. Writes the weights and, beside a .weights.h5 file,
    its card.
    """
    if not str(out).endswith((_WEIGHTS, ".keras")):
        raise ValueError(f"--out must end with {_WEIGHTS} or .keras. Received: {str(out)!r}")
    card = out.with_name(f"{out.name.removesuffix(_WEIGHTS)}.json")
    targets = [out, card] if str(out).endswith(_WEIGHTS) else [out]
    check_outputs(targets, overwrite)
    names = None if classes is None else classes.read_text().splitlines()
    with quiet_start():
        from keras_imaging import models
    cls = models.model_of_preset(preset)
    if source.endswith(".caffemodel"):
        if not hasattr(cls, "load_caffemodel"):
            raise ValueError(f"{source!r} is of IDN. Received: --preset {preset}")
        model = cls.load_caffemodel(source, cls.presets[preset]["scale"])
    else:
        model = _converted(cls, preset, source, drop_background)
    own = model.get_config().get("classes")
    if names is not None and len(names) != own:
        hint = " The first may be the background: --drop-background." * (own == len(names) + 1)
        raise ValueError(
            f"Expected {own} class names in {str(classes)!r}. Received {len(names)}.{hint}"
        )
    _write(model, out, card, source, names, image_size)
    report = {"out": out, "network": type(model).__name__, "parameters": model.count_params()}
    if own is not None:
        report["classes"] = own
    if as_json:
        print_json(report)
    else:
        what = f", {own} classes" if own is not None else ""
        typer.echo(f"Wrote {out}: {preset}, {model.count_params():,} parameters{what}.")


def _converted(cls, preset, source, drop_background):
    from keras_imaging.models.converters.published_files import read_published

    arrays = read_published(source)
    if drop_background:
        arrays = cls.published_without_background(arrays)
    model = cls.from_preset(preset, weights=None, **cls.published_arguments(arrays))
    try:
        model.load_published(arrays)
    except ValueError as error:
        raise ValueError(f"{source!r} does not hold weights of {preset}: {error}") from error
    return model


def _write(model, out, card, source, names, image_size):
    import json

    from keras_imaging.data.files import replacing

    if out.suffix == ".keras":
        model.save(out)
    else:
        model.save_weights(out)
    if out.suffix == ".keras":
        return
    described = {
        "model": type(model).__name__,
        "config": {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")},
        "file": out.name,
        "parameters": model.count_params(),
        "converted_from": source,
    }
    if names is not None:
        described["class_names"] = names
    if image_size is not None:
        described["recipe"] = {"image_size": image_size}
    with replacing(card) as file:
        file.write((json.dumps(described, indent=2) + "\n").encode())
