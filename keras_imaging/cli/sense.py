"""`keras-imaging sense`: a picture through compressive sensing and back."""

import enum
import pathlib
import time
from typing import Annotated, NamedTuple

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import give_report
from keras_imaging.cli.picture_files import comparison_of, plan, read_for, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file, check_source, check_weights

_NETWORK = "lista_cs"
_RATE = 0.5


class Solver(enum.StrEnum):
    """Classical algorithms, with the dictionary of the network in place of the network."""

    FISTA = "fista"
    ISTA = "ista"


class Mean(enum.StrEnum):
    """What is known of each patch's mean, see `keras_imaging.inference.sensing`."""

    MEASURED = "measured"
    ORACLE = "oracle"


class _Sensing(NamedTuple):
    recover: object
    phi: object
    name: str


def sense(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it a sample picture is compared with "
            "the least-squares picture and the truth.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Measurements per pixel: 0.5, 0.25 or 0.1 for shipped networks.",
            show_default="0.5, or that of the weights",
        ),
    ] = None,
    solver: Annotated[
        Solver | None,
        typer.Option(help="A classical algorithm instead of the network.", show_default="none"),
    ] = None,
    weights: options.weights("lista_cs_<rate>") = None,
    dictionary: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="A .npy file with D (pixels of a patch x atoms), of fista and ista.",
            show_default="that of the weights",
        ),
    ] = None,
    lam: Annotated[float, typer.Option(help="Weight of the l1 norm, of fista and ista.")] = 0.006,
    iterations: Annotated[int, typer.Option(min=1, help="Of fista and ista.")] = 200,
    mean: Annotated[
        Mean,
        typer.Option(
            help="Each patch's mean: measured, by one more measurement; oracle, from the picture."
        ),
    ] = Mean.MEASURED,
    out: options.Out = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Measure pictures patch by patch, far fewer numbers than pixels, and rebuild them.

    Writes PICTURE_sensed.png beside the picture, or the folder FOLDER_sensed, and tells the PSNR.
    Files of a folder that cannot be read are named and skipped; the exit code is then 1.
    """
    check_source(source)
    check_weights(weights)
    check_file(dictionary)
    if rate is not None and not 0 < rate <= 1:
        raise ValueError(f"--rate must be in (0, 1]. Received: {rate}")
    if rate is not None and weights is not None:
        raise ValueError(f"{weights!r} says its rate itself; leave out --rate.")
    if dictionary is not None and (solver is None or weights is not None):
        raise ValueError("--dictionary is for --solver, and stands in place of --weights.")
    jobs, skipped = plan(source, out, "_sensed", overwrite)
    with quiet_start():
        import keras_imaging.models  # noqa: F401
    if solver is None:
        sensing = _network(rate, weights)
    else:
        sensing = _classical(rate, solver.value, weights, dictionary, lam, iterations)

    def send(path, target):
        return _sense_one(sensing, mean.value, path, target)

    if source is None:
        report = _sense_sample(sensing, mean.value, jobs[0][1])
    elif source.is_dir():
        report = work_on(jobs, skipped, send, source.name)
        if written := report["written"]:
            report["mean_psnr"] = sum(item["psnr"] for item in written) / len(written)
    else:
        report = {"written": [send(*jobs[0])]}
    from keras_imaging.inference.sensing import measurement_rate

    achieved = round(measurement_rate(sensing.phi, mean.value), 4)
    report = {"solver": sensing.name, "rate": achieved, "mean": mean.value, **report}
    give_report(report, as_json, _tell)


def _network(rate, weights):
    model, name = _load(rate, weights)
    return _Sensing(model.predict_on_batch, model.measurement_matrix, name)


def _classical(rate, solver, weights, dictionary, lam, iterations):
    import keras
    import numpy as np

    from keras_imaging import solvers
    from keras_imaging.data.arrays import read_arrays
    from keras_imaging.data.sensing import gaussian_measurement_matrix
    from keras_imaging.inference.sensing import sparse_recovery

    if dictionary is not None:
        D = next(iter(read_arrays(dictionary).values()))
        if D.ndim != 2:
            raise ValueError(f"{str(dictionary)!r} must hold (pixels, atoms), not {D.shape}.")
        phi = gaussian_measurement_matrix(max(1, round((rate or _RATE) * len(D))), len(D))
        name = dictionary.name
    else:
        model, name = _load(rate, weights)
        phi = model.measurement_matrix
        D = keras.ops.convert_to_numpy(model.dictionary.matrix)
    recover = sparse_recovery(phi, D.astype("float32"), lam, iterations, getattr(solvers, solver))
    return _Sensing(lambda y: np.asarray(recover(y)), phi, f"{solver} ({name})")


def _load(rate, weights):
    """A network and what to call it."""
    from keras_imaging.cli.networks import load_network

    return load_network(weights or f"{_NETWORK}_{round(100 * (rate or _RATE))}", "sensing")


def _sense_one(sensing, mean, source, target):
    from keras_imaging.inference.sensing import measurement_rate
    from keras_imaging.inference.sensing import sense as send
    from keras_imaging.metrics import psnr

    began = time.monotonic()
    image, write = read_for(source, target)
    result = send(image, sensing.recover, sensing.phi, mean)
    write(result)
    top = 255 if image.dtype == "uint8" else 65535
    shown, truth = (_visible(picture) for picture in (result, image))
    return {
        "input": source,
        "output": target,
        "rate": round(measurement_rate(sensing.phi, mean, image.shape[:2]), 4),
        "psnr": psnr(shown, truth, max_val=top),
        "seconds": round(time.monotonic() - began, 2),
    }


def _visible(picture):
    """What is seen of a picture: without alpha, and of RGBA those pixels that are not transparent.

    The rest was not sensed, or cannot be told from anything else.
    """
    return picture[picture[..., 3] > 0][:, :3] if picture.shape[2:] == (4,) else picture


def _sense_sample(sensing, mean, target):
    import numpy as np

    from keras_imaging.cli.comparison import most_improved, side_by_side
    from keras_imaging.data import sample_image, write_image
    from keras_imaging.inference.sensing import measurement_rate
    from keras_imaging.inference.sensing import sense as send
    from keras_imaging.metrics import psnr

    comparison = comparison_of(target)
    truth = sample_image()
    inverse = np.linalg.pinv(sensing.phi).T.astype("float32")
    plain = send(truth, lambda y: np.asarray(y) @ inverse, sensing.phi, mean)
    began = time.monotonic()
    ours = send(truth, sensing.recover, sensing.phi, mean)
    seconds = round(time.monotonic() - began, 2)
    scores = [psnr(picture, truth) for picture in (plain, ours)]
    panels = {
        f"least squares   {scores[0]:.2f} dB": plain,
        f"{sensing.name}   {scores[1]:.2f} dB": ours,
        "truth": truth,
    }
    write_image(target, ours)
    write_image(comparison, side_by_side(panels, most_improved(ours, plain, truth)))
    written = {
        "input": "the sample picture",
        "output": target,
        "rate": round(measurement_rate(sensing.phi, mean, truth.shape[:2]), 4),
        "psnr": scores[1],
        "seconds": seconds,
    }
    return {"written": [written], "comparison": comparison, "least_squares_psnr": scores[0]}


def _tell(report):
    for item in report["written"]:
        how = f"{item['rate']:g} measurements a pixel, patch means {report['mean']}"
        typer.echo(
            f"Wrote {item['output']}: {item['input']} from {how}, by "
            f"{report['solver']} in {item['seconds']} s. PSNR {item['psnr']:.2f} dB."
        )
    if "comparison" in report:
        typer.echo(
            f"Wrote {report['comparison']}: least squares ({report['least_squares_psnr']:.2f} dB), "
            f"{report['solver']} and the truth."
        )
    if "mean_psnr" in report:
        typer.echo(f"Mean PSNR {report['mean_psnr']:.2f} dB of {len(report['written'])} pictures.")
