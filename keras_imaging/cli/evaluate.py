"""`keras-imaging evaluate`: score networks as the published tables do."""

import enum
import pathlib
import warnings
from dataclasses import asdict
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json, progress_bar
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_data, check_folder, check_weights

evaluate = typer.Typer(help="Score trained networks on your data.", no_args_is_help=True)


class Protocol(enum.StrEnum):
    """How images are shrunk and compared, see `keras_imaging.evaluation`."""

    A = "A"
    B = "B"


class Mean(enum.StrEnum):
    """What is known of each patch's mean, see `keras_imaging.inference.sensing`."""

    MEASURED = "measured"
    ORACLE = "oracle"


class Holes(enum.StrEnum):
    """Kinds of holes, see `keras_imaging.data.random_inpainting_masks`."""

    MEDIUM = "medium"
    TRAINING = "training"


Pictures = Annotated[pathlib.Path, typer.Option("--data", help="Folder of pictures of 8 bits.")]


@evaluate.command("sr")
def super_resolution(
    data: Pictures,
    scale: options.Scale = None,
    weights: options.weights("rdidn_x<scale>") = None,
    protocol: Annotated[
        Protocol,
        typer.Option(help="A: luma, shrunk without rounding. B: RGB, shrunk and rounded."),
    ] = Protocol.A,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Side of the network's input in pixels, for large pictures.",
            show_default="the whole picture",
        ),
    ] = None,
    self_ensemble: options.SelfEnsemble = False,
    as_json: options.Json = False,
) -> None:
    """PSNR and SSIM of super-resolution, beside bicubic interpolation.

    Each picture is shrunk and enlarged again. Files that cannot be read are named and skipped; the
    exit code is then 1.
    """
    check_folder(data)
    check_weights(weights)
    with quiet_start():
        from keras_imaging.cli.networks import load_enlarger
        from keras_imaging.evaluation import evaluate_super_resolution
    network = load_enlarger(scale, weights)
    with progress_bar(data.name) as progress:
        scores = evaluate_super_resolution(
            network.model,
            data,
            protocol=protocol.value,
            self_ensemble=self_ensemble,
            tile=tile,
            progress=progress,
        )
    ensemble = ", self-ensemble" if self_ensemble else ""
    title = f"{data}, x{scores.scale}, protocol {scores.protocol}{ensemble}"
    columns = {
        "bicubic PSNR": ("bicubic_psnr", 2),
        "bicubic SSIM": ("bicubic_ssim", 4),
        f"{network.name} PSNR": ("psnr", 2),
        f"{network.name} SSIM": ("ssim", 4),
    }
    rows = {name: asdict(one) for name, one in scores.images.items()}
    _give(network, data, scores, title, columns, rows, asdict(scores.mean), as_json)


@evaluate.command("denoising")
def denoising(
    data: Pictures,
    weights: options.weights("none") = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    as_json: options.Json = False,
) -> None:
    """PSNR of pictures that were made noisy, and denoised.

    The noise is that for which the network was trained. Files that cannot be read are named and
    skipped; the exit code is then 1.
    """
    check_folder(data)
    if weights is None:
        raise ValueError("Say which network: --weights NAME, FILE, or the folder of a run.")
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.evaluation import evaluate_denoising
    network = load_network(weights, "denoising")
    with progress_bar(data.name) as progress:
        scores = evaluate_denoising(
            network.model, data, network.model.sigma, seed, progress=progress
        )
    columns = {"noisy PSNR": ("noisy", 2), f"{network.name} PSNR": ("psnr", 2)}
    rows = {
        name: {"noisy": scores.noisy[name], "psnr": value} for name, value in scores.images.items()
    }
    mean = {"noisy": scores.noisy_mean, "psnr": scores.mean}
    title = f"{data}, noise of sigma {scores.sigma:g}, seed {seed}"
    _give(network, data, scores, title, columns, rows, mean, as_json)


@evaluate.command("inpainting")
def inpainting(
    data: Pictures,
    weights: options.weights("lama_small") = None,
    holes: Annotated[Holes, typer.Option(help="Kind of the random holes.")] = Holes.MEDIUM,
    seed: Annotated[int, typer.Option(help="Of the holes.")] = 0,
    as_json: options.Json = False,
) -> None:
    """PSNR, SSIM and mean absolute error of filled holes.

    Random holes are cut into each picture and filled. Files that cannot be read are named and
    skipped; the exit code is then 1.
    """
    check_folder(data)
    check_weights(weights)
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.evaluation import evaluate_inpainting
    network = load_network(weights or "lama_small", "inpainting")
    pictures, skipped = _read_pictures(data)
    with progress_bar(data.name) as progress:
        scores = evaluate_inpainting(
            network.model,
            pictures.values(),
            holes.value,
            seed,
            progress=lambda done: progress(done, len(pictures)),
        )
    title = f"{data}, {holes.value} holes of seed {seed}, {100 * scores.missing:.1f} % missing"
    columns = {
        "hole PSNR": ("hole_psnr", 2),
        "hole SSIM": ("hole_ssim", 4),
        "PSNR": ("psnr", 2),
        "SSIM": ("ssim", 4),
    }
    rows = {name: asdict(one) for name, one in zip(pictures, scores.images, strict=True)}
    _give(network, data, scores, title, columns, rows, asdict(scores.mean), as_json, skipped)


@evaluate.command("sensing")
def sensing(
    data: Pictures,
    weights: options.weights("lista_cs_50") = None,
    mean: Annotated[
        Mean,
        typer.Option(
            help="Each patch's mean: oracle, from the picture, as published; measured, by one more "
            "measurement."
        ),
    ] = Mean.ORACLE,
    as_json: options.Json = False,
) -> None:
    """PSNR of pictures that were measured patch by patch and rebuilt.

    Files that cannot be read are named and skipped; the exit code is then 1.
    """
    check_folder(data)
    check_weights(weights)
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.evaluation import evaluate_sensing
    network = load_network(weights or "lista_cs_50", "sensing")
    run, phi = network.model.predict_on_batch, network.model.measurement_matrix
    with progress_bar(data.name) as progress:
        scores = evaluate_sensing(run, data, phi, mean.value, progress=progress)
    title = f"{data}, {scores.rate:.3g} measurements a pixel, {scores.protocol} means"
    rows = {name: {"psnr": value} for name, value in scores.images.items()}
    columns = {f"{network.name} PSNR": ("psnr", 2)}
    _give(network, data, scores, title, columns, rows, {"psnr": scores.mean}, as_json)


@evaluate.command("classification")
def classification(
    data: Annotated[
        str,
        typer.Option(
            help="Folder with one subfolder for each class, an .npz file with x and y, "
            "tfrecord:GLOB in ImageNet's layout, or tfds:NAME[:SPLIT] of tensorflow-datasets."
        ),
    ],
    weights: options.weights("none") = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of a crop in pixels.", show_default="as trained")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """First and first five guesses of a classifier.

    The card of the weights says the classes and how pictures are cropped. Files that cannot be read
    are named and skipped; the exit code is then 1.
    """
    if weights is None:
        raise ValueError("Say which network: --weights NAME, FILE, or the folder of a run.")
    check_data(data)
    check_weights(weights)
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.evaluation import evaluate_classification
        from keras_imaging.models import card_of
        from keras_imaging.training import labelled_pictures
    network = load_network(weights, "classification")
    card, skipped = card_of(weights), []
    labelled = labelled_pictures(data, on_skip=skipped.append)
    recipe = {"image_size": 224, "crop": "resized", **card.get("recipe", {})}
    scores = evaluate_classification(
        network.model,
        labelled.numbered(card.get("class_names", labelled.class_names)),
        image_size or recipe["image_size"],
        recipe["crop"],
    )
    columns = {"top 1": ("top1", 4), "top 5": ("top5", 4)}
    reasons = dict(enumerate(skipped))
    _give(network, data, scores, str(data), columns, {}, asdict(scores), as_json, reasons)


@evaluate.command("segmentation")
def segmentation(
    data: Annotated[
        str,
        typer.Option(
            help="Folder with images, masks and classes.txt, an .npz file with x and y, or "
            "scenes:COUNT, generated ones."
        ),
    ],
    weights: options.weights("none") = None,
    as_json: options.Json = False,
) -> None:
    """Mean intersection over union of a segmenter.

    Files that cannot be read, or whose mask does not fit, are named and skipped; the exit code is
    then 1.
    """
    if weights is None:
        raise ValueError("Say which network: --weights NAME, FILE, or the folder of a run.")
    if not data.startswith("scenes:"):
        check_data(data)
    check_weights(weights)
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.data.segmentation import segmented_pictures
        from keras_imaging.evaluation import evaluate_segmentation
        from keras_imaging.models import card_of
    network, skipped = load_network(weights, "segmentation"), []
    side = card_of(weights).get("recipe", {}).get("image_size", 64)
    # Other scenes than those of training.
    found = segmented_pictures(data, skipped.append, side, seed=1)
    scores = evaluate_segmentation(network.model, found.examples, network.model.output_shape[-1])
    columns = {"mean IoU": ("mean_iou", 4), "pixel accuracy": ("pixel_accuracy", 4)}
    reasons = dict(enumerate(skipped))
    _give(network, data, scores, data, columns, {}, asdict(scores), as_json, reasons)


class Classical(enum.StrEnum):
    """Methods of `keras_imaging.inference.reconstruction`."""

    CG_SENSE = "cg-sense"
    TV = "tv"
    WAVELET = "wavelet"


@evaluate.command("mri")
def mri(
    data: Annotated[
        pathlib.Path,
        typer.Option(
            help="Images: .npz with a stack for each contrast, NIfTI, DICOM, a picture, or the "
            "reconstruction in a fastMRI file."
        ),
    ],
    weights: options.weights("none") = None,
    method: Annotated[
        list[Classical] | None,
        typer.Option(help="A classical method beside it; may be repeated.", show_default="none"),
    ] = None,
    mask: Annotated[
        str,
        typer.Option(
            help="cartesian, equispaced, equispaced-fraction, poisson, radial, or a file."
        ),
    ] = "cartesian",
    acceleration: Annotated[float, typer.Option(min=1, help="Of the mask.")] = 4.0,
    center_fraction: Annotated[
        float, typer.Option(help="Part of k-space around its centre that the mask takes.")
    ] = 0.08,
    coils: Annotated[int, typer.Option(min=0, help="Birdcage coils; 0: one, flat.")] = 0,
    noise: Annotated[
        float, typer.Option(min=0, help="Standard deviation, in parts of the image's maximum.")
    ] = 0.0,
    lam: Annotated[
        float | None, typer.Option(help="Of tv and wavelet.", show_default="0.02, 0.01")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the mask.")] = 1,
    as_json: options.Json = False,
) -> None:
    """PSNR, SSIM and NMSE of MR images that were scanned in simulation, beside zero-filling.

    Mean and standard deviation over the slices of each contrast, on magnitudes.
    """
    from keras_imaging.cli.refusals import check_file
    from keras_imaging.data.sampling_masks import KINDS

    check_data(data)
    check_weights(weights)
    if mask not in KINDS:
        check_file(pathlib.Path(mask))
    with quiet_start():
        from keras_imaging.cli.networks import load_network
        from keras_imaging.data.mri_files import read_images, read_mask
        from keras_imaging.evaluation import evaluate_mri
    methods = {name.value: _classical_mri(name.value, lam) for name in method or ()}
    if weights is not None:
        network = load_network(weights, "mri")
        methods[network.name] = network.model.predict_on_batch
    with progress_bar(data.name) as progress, warnings.catch_warnings():
        # A number of iterations is asked for, and given.
        warnings.simplefilter("ignore", UserWarning)
        scores = evaluate_mri(
            methods,
            read_images(data),
            mask if mask in KINDS else read_mask(mask),
            acceleration,
            center_fraction,
            coils,
            noise,
            seed,
            progress=progress,
        )
    if as_json:
        print_json({"weights": weights, "data": data, **scores.to_dict()})
        return
    for contrast, sampled in scores.sampled.items():
        typer.echo(f"{contrast}, {mask}, {sampled:.1%} of k-space sampled")
        for name, means in scores.mean.items():
            mean, spread = means[contrast], scores.deviation[name][contrast]
            typer.echo(
                f"  {name:<14} PSNR {mean.psnr:6.2f} +- {spread.psnr:5.2f} dB   SSIM "
                f"{mean.ssim:.3f} +- {spread.ssim:.3f}   NMSE {mean.nmse:.4f}"
            )


def _classical_mri(name, lam):
    """A method of the inputs of a network."""
    from keras_imaging.inference import reconstruction

    solve = {
        "cg-sense": reconstruction.cg_sense,
        "tv": reconstruction.tv,
        "wavelet": reconstruction.wavelet,
    }[name]
    given = {} if lam is None or name == "cg-sense" else {"lam": lam}
    return lambda inputs: solve(inputs["kspace"], inputs["mask"], inputs.get("maps"), **given).x


def _read_pictures(folder):
    """Pictures of 8 bits without alpha by their names, and why others were left out."""
    from keras_imaging.data.images import list_images, read_image
    from keras_imaging.inference.pictures import to_eight_bits

    pictures, skipped = {}, {}
    for path in list_images(folder):
        try:
            image = to_eight_bits(read_image(path))
        except ValueError as error:
            skipped[path.name] = str(error)
        else:
            pictures[path.name] = image[..., :3] if image.ndim == 3 else image
    return pictures, skipped


def _give(network, data, scores, title, columns, rows, mean, as_json, skipped=None):
    """Print scores; exit with 1 if files were skipped.

    Args:
        network: a `Network`.
        data: where the pictures lie.
        scores: has `to_dict`.
        title: line above the table.
        columns: name and digits of a figure by the column's title.
        rows: figures of each picture by its name.
        mean: figures of all.
        skipped: reasons by file name; None takes those of the scores.
    """
    skipped = scores.skipped if skipped is None else skipped
    if as_json:
        print_json({"weights": network.name, "data": data, **scores.to_dict(), "skipped": skipped})
    else:
        typer.echo(title)
        _print_table(columns, rows, mean)
    for reason in skipped.values():
        typer.echo(f"Skipped: {reason}", err=True)
    if skipped:
        raise typer.Exit(1)


def _print_table(columns, rows, mean):
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    table.add_column("image")
    for label in columns:
        table.add_column(escape(label), justify="right")

    def cells(figures):
        return [f"{figures[name]:.{digits}f}" for name, digits in columns.values()]

    for image, figures in rows.items():
        table.add_row(escape(image), *cells(figures))
    if rows:
        table.add_section()
    table.add_row(f"mean of {len(rows)}" if rows else "all", *cells(mean))
    Console().print(table)
