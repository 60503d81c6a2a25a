"""`keras-imaging restore`: plug-and-play restoration, and whether its convergence is proved."""

import enum
import functools
import pathlib
import tempfile
import time
import warnings
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.masks import Masks
from keras_imaging.cli.folders.places import place_of
from keras_imaging.cli.output import give_report
from keras_imaging.cli.picture_files import comparison_of, one_by_one, plan, read_for, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file, check_source, check_targets, check_weights
from keras_imaging.picture_size import size_text

# What the denoiser is for where nothing is said, in 255ths.
_SIGMA = {"deblur": 25, "inpaint": 25, "poisson": 40, "photon": 15, "csmri": 15}
# Of the sample.
_KERNEL, _KNOWN, _PEAK, _OVERSAMPLING, _SAMPLED, _SCAN_NOISE = "gaussian:1.6", 0.3, 4, 8, 0.3, 15
_NOISE = 2.0
_BLURS = ("gaussian", "box")


class Task(enum.StrEnum):
    """What happened to the picture."""

    DEBLUR = "deblur"
    INPAINT = "inpaint"
    POISSON = "poisson"
    PHOTON = "photon"
    CSMRI = "csmri"


class Algorithm(enum.StrEnum):
    """How denoiser and data take turns, see `keras_imaging.solvers`."""

    ADMM = "admm"
    DRS = "drs"
    FBS = "fbs"


class Boundary(enum.StrEnum):
    """What lies beyond the border of a blurred picture."""

    UNKNOWN = "unknown"
    CIRCULAR = "circular"


class Keep(enum.StrEnum):
    """Which image is written."""

    LAST = "last"
    BEST = "best"


@engines.with_engine
def restore(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures; for csmri k-space (see `reconstruct`). "
            "Without it a sample picture is degraded, restored, and compared with the truth.",
            show_default=False,
        ),
    ] = None,
    problem: Annotated[
        Task,
        typer.Option(
            help="Blur; missing pixels; few photons; one-bit photon sensors; a part of k-space."
        ),
    ] = Task.DEBLUR,
    algorithm: Annotated[Algorithm, typer.Option(help="ADMM, DRS or FBS.")] = Algorithm.ADMM,
    denoiser: Annotated[
        str | None,
        typer.Option(
            "--denoiser",
            "--weights",
            help="Which network: a name of `keras-imaging weights`, a .weights.h5 file with its "
            "card, a .keras file, or the folder of a run.",
            show_default="a shipped one with a proved Lipschitz constant",
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            help="The blur: gaussian:SIGMA or box:SIDE in pixels, or a picture or .npy file of it.",
            show_default="of the sample gaussian:1.6",
        ),
    ] = None,
    boundary: Annotated[
        Boundary,
        typer.Option(help="Beyond the border of a blurred picture: unknown, or repeating."),
    ] = Boundary.UNKNOWN,
    mask: Annotated[
        pathlib.Path | None,
        typer.Option(
            parser=place_of,
            metavar="PATH",
            help="A picture of the same size, not black where a pixel is missing; for csmri the "
            "sampling mask. Of a folder one for all, or a folder with one of the same name for "
            "each.",
            show_default="csmri: where k-space is not zero",
        ),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(help="Photons of white, for poisson.", show_default="of the sample 4"),
    ] = None,
    oversampling: Annotated[
        int | None,
        typer.Option(
            min=1, help="One-bit sensors along a pixel's side.", show_default="of the sample 8"
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Standard deviation of the noise, of 255 grey levels: alpha follows from it.",
            show_default="2; csmri: as much as the denoiser is for, the brightest being 255",
        ),
    ] = None,
    tikhonov: Annotated[
        float,
        typer.Option(
            min=0, help="Weight that draws the result to its start, and makes theorems apply."
        ),
    ] = 0.0,
    alpha: Annotated[
        float | None, typer.Option(help="The step.", show_default="by the problem")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="How many.", show_default="by the problem")
    ] = None,
    truth: Annotated[
        pathlib.Path | None,
        typer.Option(help="What the picture should be, to compare with.", show_default=False),
    ] = None,
    keep: Annotated[
        Keep,
        typer.Option(
            help="The last image, or the best: nearest to --truth, else of the smallest residual."
        ),
    ] = Keep.LAST,
    out: engines.Out = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    *,
    by: engines.Options,
) -> None:
    """Restore pictures by a denoiser, and tell whether the convergence is proved.

    Writes PICTURE_restored.png beside the picture, or the folder FOLDER_restored, unless --out says
    otherwise, and one sentence: "certified", "observed only" or "not covered", with the reason.
    With a truth also PICTURE_restored_comparison.png. Files of a folder that cannot be read are
    named and skipped; the exit code is then 1.
    """
    by.check(source, out, mask)
    if not by.ray:
        check_source(source)
    check_weights(denoiser)
    check_file(truth)
    if kernel is not None and kernel.partition(":")[0] not in _BLURS:
        check_file(pathlib.Path(kernel))
    given = {"kernel": kernel, "mask": mask, "peak": peak, "oversampling": oversampling}
    _check_given(problem.value, source, truth, given)
    settings = {**given, "noise": noise, "tikhonov": tikhonov, "boundary": boundary.value}
    solver = {"algorithm": algorithm.value, "alpha": alpha, "iterations": iterations}
    made = {"problem": problem, "settings": settings, "solver": solver, "keep": keep}
    of_many = by.ray or (source is not None and source.is_dir())
    if of_many and truth is not None:
        raise ValueError("--truth is of one picture, not of a folder.")
    if by.ray:
        _by_ray(source, out, denoiser, made, by, as_json, overwrite)
        return
    settings["mask"] = None if mask is None else Masks(mask)
    compared = source is None or truth is not None
    jobs, skipped = plan(source, out, "_restored", overwrite)
    if compared:
        check_targets([comparison_of(jobs[0][1])], overwrite)
    network = _load(denoiser, problem)
    if of_many:
        work = functools.partial(_restore_one, network, **made)
        report = work_on(jobs, skipped, work, source.name)
        give_report(report, as_json, lambda report: [_tell(item) for item in report["written"]])
    else:
        give_report(_restore_one(network, *jobs[0], truth, **made), as_json, _tell)


def _by_ray(source, out, denoiser, made, by, as_json, overwrite):
    denoiser, settings = engines.lasting(denoiser), dict(made["settings"])
    for name in ("mask", "kernel"):
        settings[name] = engines.lasting(settings[name])
    made = {**made, "settings": settings}
    name = _load(denoiser, made["problem"]).name
    task = engines.Made(
        "restore",
        functools.partial(_walk, denoiser, made),
        {"denoiser": denoiser or name, **made},
        "_restored",
    )
    report, _ = engines.by_ray(task, source, out, by, overwrite)
    engines.finish({"denoiser": name, **report}, as_json)


def _walk(denoiser, made):
    settings = dict(made["settings"])
    settings["mask"] = None if settings["mask"] is None else Masks(settings["mask"])
    network = _load(denoiser, made["problem"])
    return one_by_one(functools.partial(_restore_one, network, **{**made, "settings": settings}))


def _load(denoiser, problem):
    with quiet_start():
        from keras_imaging.cli.networks import load_denoiser

        return load_denoiser(denoiser, None if denoiser else _SIGMA[problem.value], proved=True)


def _restore_one(network, source, target, truth=None, *, problem, settings, solver, keep):
    with warnings.catch_warnings(record=True) as caught, quiet_start():
        warnings.simplefilter("always", UserWarning)
        settings = dict(settings)
        if source is None:
            task = _sample(problem, settings)
        else:
            task = _file(problem, source, target, settings["mask"])
        if truth is not None:
            task["truth"] = _read_truth(truth, task["image"].shape, task["top"])
        made = _made(problem, task, settings, network.model)
        report, pictures = _restored(made, network, task=task, **solver)
        _write(task, target, pictures, keep, report)
    return {
        "problem": problem.value,
        "input": source or "the sample picture",
        "output": target,
        **report,
        "notes": list(dict.fromkeys(" ".join(str(one.message).split()) for one in caught)),
    }


def _check_given(problem, source, truth, given):
    """Refuse options of other problems, and problems without what they need."""
    of = {
        "kernel": ("deblur",),
        "mask": ("inpaint", "csmri"),
        "peak": ("poisson",),
        "oversampling": ("photon",),
    }
    for name, value in given.items():
        if value is not None and problem not in of[name]:
            raise ValueError(f"--{name} is for --problem {' or '.join(of[name])}, not {problem}.")
    if source is None and (given["mask"] is not None or truth is not None):
        raise ValueError("--mask and --truth need a picture; the sample has its own.")
    needed = {"deblur": "kernel", "inpaint": "mask", "poisson": "peak", "photon": "oversampling"}
    name = needed.get(problem)
    if source is not None and name is not None and given[name] is None:
        raise ValueError(f"--problem {problem} needs --{name}.")


def _file(problem, source, target, masks):
    """The picture or k-space of a file, and what belongs to it."""
    with tempfile.TemporaryDirectory(prefix="keras_imaging_") as scratch:
        mask = None if masks is None else masks.of(source, pathlib.Path(scratch))
        return _file_with(problem, source, target, mask)


def _file_with(problem, source, target, mask):
    if problem is Task.CSMRI:
        return _scan(source, mask)
    image, write = read_for(source, target)
    task = {"image": image, "truth": None, "top": 1.0, "write": write}
    if problem is Task.INPAINT:
        from keras_imaging.data import read_image
        from keras_imaging.data.images import colours

        shown = colours(read_image(mask)).max(axis=-1)
        if shown.shape != image.shape[:2]:
            raise ValueError(
                f"Expected a mask of the picture's size, {size_text(*image.shape[:2])}. Received: "
                f"{size_text(*shown.shape)} in {str(mask)!r}."
            )
        task["known"] = shown == 0
    return task


def _scan(source, mask):
    from keras_imaging.data.mri_files import read_mask, read_mri

    scan = read_mri(source)
    if scan.kspace is None:
        raise ValueError(
            f"{str(source)!r} holds no k-space; `keras-imaging reconstruct` scans images."
        )
    if scan.kspace.ndim != 3:
        raise ValueError(
            f"{str(source)!r} has {scan.kspace.shape[1]} coils, and restore takes one; see "
            "`keras-imaging reconstruct`."
        )
    middle = len(scan.kspace) // 2
    given = scan.mask[min(middle, len(scan.mask) - 1)] if mask is None else read_mask(mask)
    return _kspace_task(scan.kspace[middle], given, None)


def _kspace_task(kspace, mask, truth):
    import numpy as np

    from keras_imaging.data.kspace import kspace_to_image

    zero_filled = np.abs(kspace_to_image(kspace * mask))
    top = float(zero_filled.max()) if truth is None else 1.0
    return {"image": zero_filled, "kspace": kspace, "mask": mask, "truth": truth, "top": top}


def _sample(problem, settings):
    """The sample picture, degraded: image, truth, and what white is in both."""
    import numpy as np

    from keras_imaging.data import luma, sample_image, simulate_kspace
    from keras_imaging.data.degradations import (
        blurred,
        one_bit_counts,
        photon_limited,
        with_noise,
    )
    from keras_imaging.data.sampling_masks import draw_sampling_mask

    sharp = sample_image()
    noise = settings["noise"] or _NOISE
    if problem is Task.DEBLUR:
        settings["kernel"] = settings["kernel"] or _KERNEL
        image, truth = blurred(sharp, _kernel(settings["kernel"]), noise)
        return {"image": image, "truth": truth / 255.0, "top": 1.0}
    if problem is Task.INPAINT:
        known = np.random.default_rng(0).random(sharp.shape[:2]) < _KNOWN
        image = np.where(known[..., None], with_noise(sharp, noise), np.uint8(0))
        return {"image": image, "truth": sharp / 255.0, "top": 1.0, "known": known}
    if problem is Task.POISSON:
        peak = settings["peak"] or _PEAK
        counts = photon_limited(sharp, peak)
        # A picture holds no more than its white: here the most that was counted.
        settings["peak"] = float(counts.max())
        top = peak / settings["peak"]
        image = (counts / settings["peak"]).astype("float32")
        return {"image": image, "truth": sharp / 255.0 * top, "top": top}
    if problem is Task.PHOTON:
        settings["oversampling"] = settings["oversampling"] or _OVERSAMPLING
        ones = one_bit_counts(sharp, settings["oversampling"])
        share = ones / settings["oversampling"] ** 2
        return {"image": share.astype("float32"), "truth": sharp / 255.0, "top": 1.0}
    scan_noise = settings["noise"] = settings["noise"] or _SCAN_NOISE
    truth = luma(sharp)[64:320, 64:320] / 255.0
    mask = draw_sampling_mask("poisson", truth.shape, 1 / _SAMPLED, 0.08, 1)
    rng = np.random.default_rng(0)
    kspace = simulate_kspace(truth.astype("complex64"), np.ones(truth.shape))
    parts = rng.normal(0, scan_noise / 255, (2, *truth.shape))
    return _kspace_task((kspace + parts[0] + 1j * parts[1]) * mask, mask, truth)


def _kernel(text):
    """The blur that --kernel says."""
    import numpy as np

    name, _, value = text.partition(":")
    if name in _BLURS:
        from keras_imaging.operators import gaussian_kernel

        try:
            if name == "gaussian":
                return gaussian_kernel(float(value))
            side = int(value)
            return np.full((side, side), 1 / side**2)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"--kernel {text} is no blur: {error}") from error
    path = pathlib.Path(text)
    if path.suffix == ".npy":
        from keras_imaging.data.arrays import read_arrays

        return next(iter(read_arrays(path).values()))
    from keras_imaging.data import luma, read_image
    from keras_imaging.inference.pictures import to_eight_bits

    return luma(to_eight_bits(read_image(path))).astype("float64")


def _read_truth(path, shape, top):
    from keras_imaging.data import read_image
    from keras_imaging.inference.pictures import to_unit

    truth = read_image(path)
    if truth.shape != shape:
        raise ValueError(f"Expected a truth of shape {shape}. Received: {truth.shape} in {path}.")
    return to_unit(truth) * top


def _made(problem, task, settings, denoiser):
    """The problem as the solvers take it."""
    from keras_imaging import inference

    noise = settings["noise"]
    common = {"channels": denoiser.input_shape[-1]}
    gaussian = {
        **common,
        "sigma": denoiser.sigma,
        "noise": _NOISE if noise is None else noise,
        "tikhonov_weight": settings["tikhonov"],
    }
    if problem is Task.DEBLUR:
        kernel = _kernel(settings["kernel"])
        return inference.deblurring(
            task["image"], kernel, boundary=settings["boundary"], **gaussian
        )
    if problem is Task.INPAINT:
        return inference.hole_filling(task["image"], task["known"], **gaussian)
    if settings["tikhonov"]:
        raise ValueError("--tikhonov is for --problem deblur or inpaint.")
    if problem is Task.POISSON:
        return inference.photon_counts(task["image"], settings["peak"], **common)
    if problem is Task.PHOTON:
        return inference.one_bit_photons(task["image"], settings["oversampling"], **common)
    noise = None if noise is None else noise / 255 * task["top"]
    return inference.compressed_mri(task["kspace"], task["mask"], denoiser.sigma, noise)


def _restored(made, network, algorithm, alpha, iterations, task):
    """Figures, and the pictures by what they are."""
    import numpy as np

    from keras_imaging import inference
    from keras_imaging.inference.pictures import to_unit
    from keras_imaging.metrics import psnr

    truth = task["truth"]
    began = time.monotonic()
    alpha = made.alpha[algorithm] if alpha is None else alpha
    done = inference.restore(made, network.model, algorithm, alpha, iterations, truth)
    seconds = round(time.monotonic() - began, 2)
    residual = np.asarray(done.result.history["residual"])
    report = {
        "denoiser": network.name,
        "sigma": network.model.sigma,
        "algorithm": algorithm,
        "alpha": alpha,
        "iterations": len(residual),
        "seconds": seconds,
        **_certificate(made, network.model, algorithm, alpha, done),
        "residual": float(residual[-1]),
        "observed_factor": _observed_factor(residual),
        "height": done.picture.shape[0],
        "width": done.picture.shape[1],
        "best_iteration": done.best_iteration,
    }
    pictures = {"degraded": task["image"], "last": done.picture, "best": done.best}
    if truth is not None:
        pictures["truth"] = truth
        for name in ("degraded", "last", "best"):
            shown, wanted = (np.atleast_3d(x)[..., :3] for x in (to_unit(pictures[name]), truth))
            report[f"{name}_psnr"] = psnr(shown, wanted, max_val=task["top"])
    return report, pictures


def _certificate(made, denoiser, algorithm, alpha, done):
    """What the theorems say of this denoiser in this range, this data term and this step."""
    import numpy as np
    from keras import ops

    from keras_imaging.analysis import convergence_certificate

    # Images on the way of the run: a part of them is enough for what was seen.
    pair = np.concatenate(
        [_middle(ops.convert_to_numpy(x)) for x in (made.start, done.result.x)]
    ).astype("float32")
    ranged = denoiser.with_range(made.value_range, made.span)
    certificate = convergence_certificate(ranged, made.f, alpha, algorithm, images=pair)
    return {
        name: getattr(certificate, name)
        for name in (
            "verdict",
            "reason",
            "eps_certified",
            "eps_observed",
            "mu",
            "L",
            "alpha_interval",
            "factor",
        )
    }


def _middle(images, side=64):
    height, width = images.shape[1:3]
    top, left = max(height - side, 0) // 2, max(width - side, 0) // 2
    return images[:1, top : top + side, left : left + side]


def _observed_factor(residual):
    """By how much an iteration made the residual smaller, in the later half of what fell."""
    import numpy as np

    # Below, rounding of single precision is all there is.
    above = np.flatnonzero(residual > 1e-5 * residual.max())
    last = int(above[-1]) if len(above) else 0
    first = last // 2
    if last == first or residual[first] <= 0:
        return None
    return float((residual[last] / residual[first]) ** (1 / (last - first)))


def _was_better(report):
    """Whether one on the way was better than the last, to be seen."""
    return report["best_psnr"] >= report["last_psnr"] + 0.05


def _write(task, target, pictures, keep, report):
    from keras_imaging.data import write_image

    chosen = pictures[keep.value]
    if "write" in task:
        task["write"](chosen)
    else:
        write_image(target, _eight_bits(chosen, task["top"]))
    if "truth" in pictures:
        from keras_imaging.cli.comparison import most_improved, side_by_side

        names = ["degraded", "last", "best"]
        if not _was_better(report):
            names.remove("best")
        panels = {}
        for name in names:
            label = {"last": report["denoiser"], "best": f"best, at {report['best_iteration']}"}
            psnr = report[f"{name}_psnr"]
            panels[f"{label.get(name, name)}   {psnr:.2f} dB"] = _rgb(pictures[name], task["top"])
        panels["truth"] = _rgb(pictures["truth"], task["top"])
        shown = list(panels.values())
        corner = most_improved(*(x.astype("float64") for x in (shown[1], shown[0], shown[-1])))
        report["comparison"] = comparison_of(target)
        write_image(report["comparison"], side_by_side(panels, corner))


def _eight_bits(picture, top):
    from keras_imaging.inference.pictures import from_unit, to_unit

    return from_unit(to_unit(picture) / max(top, 1e-30), "uint8")


def _rgb(picture, top):
    import numpy as np

    picture = np.atleast_3d(_eight_bits(picture, top))[..., :3]
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def _tell(report):
    for note in report["notes"]:
        typer.echo(f"warning: {note}", err=True)
    typer.echo(
        f"Wrote {report['output']}: {size_text(report['height'], report['width'])}, "
        f"{report['input']}, {report['problem']} by {report['denoiser']}, "
        f"{report['iterations']} iterations of {report['algorithm'].upper()} in "
        f"{report['seconds']} s."
    )
    typer.echo(f"Convergence {report['verdict']}: {report['reason']}.")
    observed = report["observed_factor"]
    if observed is not None:
        predicted = f"; proved {report['factor']:.3g}" if report["verdict"] == "certified" else ""
        typer.echo(f"The residual was multiplied by {observed:.3g} an iteration{predicted}.")
    if "comparison" in report:
        best = ""
        if _was_better(report):
            best = (
                f"; the best was {report['best_psnr']:.2f} dB after {report['best_iteration']} "
                "iterations"
            )
        typer.echo(
            f"PSNR: degraded {report['degraded_psnr']:.2f} dB, restored {report['last_psnr']:.2f} "
            f"dB{best}."
        )
        typer.echo(f"Wrote {report['comparison']}: side by side.")
