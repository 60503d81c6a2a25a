"""`keras-imaging reconstruct`: MR images from undersampled k-space."""

import enum
import pathlib
import time
import warnings
from typing import Annotated, NamedTuple

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, give_report, target_of
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file, check_source, check_weights

_SUFFIXES = (".png", ".npz", ".nii", ".nii.gz")
_SAMPLE_SIZE = (256, 256)
_KINDS = ("cartesian", "equispaced", "equispaced-fraction", "poisson", "radial")


class Method(enum.StrEnum):
    """How an image is made of k-space."""

    ZERO_FILLED = "zero-filled"
    CG_SENSE = "cg-sense"
    TV = "tv"
    WAVELET = "wavelet"
    PDHG_CSNET = "pdhg-csnet"
    CP_NET = "cp-net"
    PD_NET = "pd-net"


_NETWORKS = (Method.PDHG_CSNET, Method.CP_NET, Method.PD_NET)


class _Scan(NamedTuple):
    """What goes into a method, what is known of the truth, and where it came from."""

    kspace: object
    mask: object
    maps: object
    truth: object
    slices: int
    affine: object
    remarks: tuple


def reconstruct(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="k-space: fastMRI or ISMRMRD .h5, .npz, .npy; or an image (NIfTI, DICOM, .npz, a "
            "picture) that is scanned in simulation. Without it a phantom is.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="How to reconstruct.", show_default="tv, or the network of --weights"),
    ] = None,
    weights: options.weights("those shipped for the method") = None,
    mask: Annotated[
        str | None,
        typer.Option(
            help=f"Of a simulated scan: {', '.join(_KINDS)}; or a file with the mask, also of "
            "measured k-space.",
            show_default="cartesian; measured: from its zeros",
        ),
    ] = None,
    acceleration: Annotated[
        float, typer.Option(min=1, help="Of the mask of a simulated scan.")
    ] = 4.0,
    center_fraction: Annotated[
        float, typer.Option(help="Part of k-space around its centre that the mask always takes.")
    ] = 0.08,
    coils: Annotated[int, typer.Option(min=0, help="Of a simulated scan; 0: one, flat.")] = 0,
    lam: Annotated[
        float | None,
        typer.Option(
            help="Weight of tv and wavelet, in parts of the largest zero-filled value; of cg-sense "
            "of the squared image.",
            show_default="0.02, 0.01, 0.001",
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="Of the classical methods, at most.", show_default="300, 100, 30"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the mask.")] = 1,
    out: options.Out = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Reconstruct an MR image from undersampled k-space. For research; not a medical device.

    Writes SCAN_reconstructed.png (.npz or .nii.gz as --out: all slices; .npz where there are
    several) and beside it SCAN_reconstructed_comparison.png: zero-filled, the result, the truth and
    the errors where it is known, and the mask. The middle slice is shown.
    """
    check_source(source)
    check_weights(weights)
    if mask is not None and mask not in _KINDS:
        check_file(pathlib.Path(mask))
    if method not in (*_NETWORKS, None) and weights is not None:
        raise ValueError(f"{method.value} has no weights; leave out --weights.")
    if method in _NETWORKS and (lam is not None or iterations is not None):
        raise ValueError(f"--lam and --iterations are of classical methods, not {method.value}.")
    if lam is not None and not lam >= 0:
        raise ValueError(f"--lam must not be negative. Received: {lam}")
    if out is not None and not out.is_dir() and not out.name.endswith(_SUFFIXES):
        raise ValueError(f"--out must end with {', '.join(_SUFFIXES)}. Received: {str(out)!r}")
    with warnings.catch_warnings(record=True) as caught, quiet_start():
        warnings.simplefilter("always", UserWarning)
        scan = _read(source, mask, acceleration, center_fraction, coils, seed)
        stem = "sample" if source is None else source.name.split(".")[0]
        folder = pathlib.Path() if source is None else source.parent
        suffix = ".png" if len(scan.kspace) == 1 else ".npz"
        target = target_of(out, folder / f"{stem}_reconstructed{suffix}")
        base = target.name.removesuffix(".gz").rsplit(".", 1)[0]
        comparison = target.with_name(f"{base}_comparison.png")
        check_outputs([target, comparison], overwrite)
        began = time.monotonic()
        if method in _NETWORKS or weights is not None:
            images, name = _by_network(scan, method, weights)
        else:
            method = method or Method.TV
            images, name = _classical(scan, method, lam, iterations), method.value
        seconds = round(time.monotonic() - began, 2)
        report = _write(scan, images, name, target, comparison)
    remarks = [*scan.remarks, *(" ".join(str(one.message).split()) for one in caught)]
    report = {
        "input": source or "the phantom",
        "method": name,
        "slices": len(images),
        "sampled": round(float(scan.mask.mean()), 4),
        "seconds": seconds,
        **report,
        "remarks": list(dict.fromkeys(remarks)),
    }
    give_report(report, as_json, _tell)


def _read(source, mask, acceleration, center_fraction, coils, seed):
    """A measured scan, or one made of images."""
    from keras_imaging.data import head_phantom
    from keras_imaging.data.mri_files import read_mask, read_mri
    from keras_imaging.data.mri_scan import MRIScan, measured_scan

    given = None if mask is None or mask in _KINDS else read_mask(mask)
    phantom = MRIScan(truth=head_phantom(_SAMPLE_SIZE)[None])
    scan = phantom if source is None else read_mri(source)
    if scan.kspace is None:
        return _simulated(scan, given, mask, acceleration, center_fraction, coils, seed)
    if mask in _KINDS or coils:
        raise ValueError("--mask KIND and --coils are for images; this file holds k-space.")
    if given is not None:
        scan = measured_scan(
            scan.kspace, given, scan.maps, scan.truth, scan.slices, scan.affine, scan.remarks
        )
    maps, remarks = scan.maps, scan.remarks
    if scan.kspace.ndim == 4 and maps is None:
        from keras_imaging.data import espirit_maps

        maps = espirit_maps(scan.kspace)
        remarks = (*remarks, "Coil maps by ESPIRiT from the centre of k-space.")
    return _Scan(scan.kspace, scan.mask, maps, scan.truth, scan.slices, scan.affine, remarks)


def _simulated(scan, given, kind, acceleration, center_fraction, coils, seed):
    import numpy as np

    from keras_imaging.data import birdcage_maps, simulate_kspace, synthetic_phase
    from keras_imaging.data.kspace import checked_mask
    from keras_imaging.data.sampling_masks import draw_sampling_mask

    size = scan.truth.shape[1:]
    if given is None:
        mask = draw_sampling_mask(kind or "cartesian", size, acceleration, center_fraction, seed)
    else:
        mask = checked_mask(given, size)[0]
    maps = birdcage_maps(size, coils) if coils else None
    kspace = []
    for number, truth in enumerate(scan.truth):
        image = truth.astype("complex64")
        if np.isrealobj(truth):
            image = truth * np.exp(1j * synthetic_phase(size, number))
        kspace.append(simulate_kspace(image, mask, maps))
    kspace = np.stack(kspace).astype("complex64")
    remarks = (*scan.remarks, "Scanned in simulation, magnitudes with a synthetic phase.")
    return _Scan(kspace, mask[None], maps, scan.truth, scan.slices, scan.affine, remarks)


def _classical(scan, method, lam, iterations):
    import keras

    from keras_imaging.inference import reconstruction

    given = (scan.kspace, scan.mask, scan.maps)
    if method is Method.ZERO_FILLED:
        return keras.ops.convert_to_numpy(reconstruction.zero_filled(*given))
    chosen = {"l2" if method is Method.CG_SENSE else "lam": lam, "n_iterations": iterations}
    solve = {
        Method.CG_SENSE: reconstruction.cg_sense,
        Method.TV: reconstruction.tv,
        Method.WAVELET: reconstruction.wavelet,
    }[method]
    result = solve(*given, **{name: value for name, value in chosen.items() if value is not None})
    return keras.ops.convert_to_numpy(result.x)


def _by_network(scan, method, weights):
    import numpy as np

    from keras_imaging.cli.networks import load_network
    from keras_imaging.data.kspace import from_pairs, to_pairs
    from keras_imaging.models import shipped_weights

    if weights is None:
        weights = method.value.replace("-", "_") + "_small"
        if scan.kspace.ndim == 4:
            weights += "_coils"
        if weights not in shipped_weights():
            raise ValueError(
                f"No {method.value} for several coils is shipped, and the scan has "
                f"{scan.kspace.shape[1]}: take --method pd-net, cg-sense or tv, or give --weights "
                "of a network from `keras-imaging train mri --n-coils`."
            )
    network = load_network(weights, "mri")
    multi_coil = network.model.get_config()["multi_coil"]
    if multi_coil != (scan.kspace.ndim == 4):
        raise ValueError(
            f"{network.name} is for k-space of {'several coils' if multi_coil else 'one coil'}; "
            f"the scan has {scan.kspace.shape[1] if scan.kspace.ndim == 4 else 1}."
        )
    images = []
    for number, kspace in enumerate(scan.kspace):
        inputs = {
            "kspace": to_pairs(kspace)[None],
            "mask": scan.mask[min(number, len(scan.mask) - 1)][None].astype("float32"),
        }
        if multi_coil:
            maps = scan.maps if scan.maps.ndim == 3 else scan.maps[min(number, len(scan.maps) - 1)]
            inputs["maps"] = to_pairs(maps)[None]
        result = network.model.predict_on_batch(inputs)
        images.append((result[-1] if isinstance(result, list) else result)[0])
    return from_pairs(np.stack(images)), network.name


def _write(scan, images, name, target, comparison):
    """The images in the form that the name asks for, and the sheet; what is to be told of them."""
    import keras
    import numpy as np

    from keras_imaging.cli.reconstruction_sheet import reconstruction_sheet
    from keras_imaging.data.arrays import write_arrays
    from keras_imaging.data.images import write_image
    from keras_imaging.data.medical_images import write_nifti
    from keras_imaging.evaluation.mri import magnitude_scores
    from keras_imaging.inference.reconstruction import zero_filled

    naive = keras.ops.convert_to_numpy(zero_filled(scan.kspace, scan.mask, scan.maps))
    middle = len(images) // 2
    truth = None if scan.truth is None else np.abs(scan.truth)
    report = {"output": target, "comparison": comparison}
    labels = ["zero-filled", name]
    if truth is not None:
        scores = [
            [magnitude_scores(x, t) for x, t in zip(stack, truth, strict=True) if t.any()]
            for stack in (naive, images)
        ]
        for key, of_slices in zip(("zero_filled", "scores"), scores, strict=True):
            means = np.mean([(s.psnr, s.ssim, s.nmse) for s in of_slices], axis=0)
            report[key] = dict(zip(("psnr", "ssim", "nmse"), map(float, means), strict=True))
        psnrs = [
            magnitude_scores(stack[middle], truth[middle]).psnr if truth[middle].any() else np.nan
            for stack in (naive, images)
        ]
        labels = [f"{label}   {psnr:.2f} dB" for label, psnr in zip(labels, psnrs, strict=True)]
    shown = {labels[0]: naive, labels[1]: images}
    if name == "zero-filled":
        shown = {labels[0]: naive}
    shown = {label: np.abs(stack[middle]) for label, stack in shown.items()}
    sheet = reconstruction_sheet(
        shown,
        np.broadcast_to(scan.mask[min(middle, len(scan.mask) - 1)], images.shape[1:]),
        None if truth is None else truth[middle],
    )
    if target.suffix == ".png":
        magnitude = np.abs(images[middle])
        top = max(float(magnitude.max()), 1e-30)
        write_image(target, np.floor(magnitude / top * 255 + 0.5).astype("uint8"))
    elif target.suffix == ".npz":
        write_arrays(target, {"image": images})
    else:
        write_nifti(target, images, scan.affine, scan.slices)
    write_image(comparison, sheet)
    return report


def _tell(report):
    for remark in report["remarks"]:
        typer.echo(f"note: {remark}", err=True)
    count = f"{report['slices']} slice{'s' if report['slices'] > 1 else ''}"
    typer.echo(
        f"Wrote {report['output']}: {report['input']}, {count}, {report['sampled']:.1%} of "
        f"k-space, by {report['method']} in {report['seconds']} s."
    )
    if "scores" in report:
        ours, naive = report["scores"], report["zero_filled"]
        typer.echo(
            f"PSNR {ours['psnr']:.2f} dB, SSIM {ours['ssim']:.3f}; zero-filled "
            f"{naive['psnr']:.2f} dB, {naive['ssim']:.3f}."
        )
    typer.echo(f"Wrote {report['comparison']}: side by side. Not for diagnosis.")
