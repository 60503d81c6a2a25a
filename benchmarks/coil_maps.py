"""Coil maps by ESPIRiT beside sigpy: time, memory and agreement.

    python benchmarks/coil_maps.py espirit --threads 2 --out benchmarks/results/coil_maps.json

A head phantom is scanned by birdcage coils with a little noise. Times are of rounds that take
turns. Memory is the peak of NumPy's arrays during one call (tracemalloc), the k-space not counted.
Agreement is the cosine between both maps at every pixel where both are not zero: it is far from 1
where the two largest eigenvalues are nearly one, and no power iteration has converged. Needs sigpy.
"""

import tracemalloc

import numpy as np
from contest import hold, make_parser

CALIBRATION = 24


def scan(args):
    """k-space of the phantom, complex64 `(coils, height, width)`."""
    from keras_imaging.data import birdcage_maps, head_phantom, simulate_kspace, synthetic_phase

    size = (args.size, args.size)
    head = head_phantom(size) * np.exp(1j * synthetic_phase(size, 1))
    maps = birdcage_maps(size, args.coils)
    return simulate_kspace(head, np.ones(size), maps, noise=1e-3, seed=2).astype("complex64")


def ours(_, args):
    """A call of `espirit_maps`."""
    from keras_imaging.data import espirit_maps

    kspace = scan(args)
    return lambda: espirit_maps(kspace, CALIBRATION)


def sigpy(_, args):
    """A call of sigpy's, with the same kernels and thresholds."""
    from sigpy.mri.app import EspiritCalib

    kspace = scan(args)
    return lambda: EspiritCalib(kspace, calib_width=CALIBRATION, show_pbar=False).run()


def measured(run):
    """The result of a second call, and its peak in MiB."""
    run()
    tracemalloc.start()
    result = run()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return result, peak


def main():
    """Command line."""
    parser = make_parser(__doc__, ["espirit"], threads=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--coils", type=int, default=8)
    args = parser.parse_args()
    table = {"espirit_maps": (ours, None, "jax"), "sigpy 0.1.27": (sigpy, None, "jax")}
    notes = {}
    if not args.worker:
        (own, own_peak), (other, other_peak) = (
            measured(function(None, args)) for function in (ours, sigpy)
        )
        both = (np.abs(own).sum(axis=0) > 0) & (np.abs(other).sum(axis=0) > 0)
        cosine = np.abs((own.conj() * other).sum(axis=0))[both]
        supports = (np.abs(own).sum(axis=0) > 0) != (np.abs(other).sum(axis=0) > 0)
        notes = {
            "size": args.size,
            "coils": args.coils,
            "peak_mib": {"espirit_maps": round(own_peak, 1), "sigpy": round(other_peak, 1)},
            "pixels": cosine.size,
            "pixels_in_one_only": int(supports.sum()),
            "cosine_below_0.999": int((cosine < 0.999).sum()),
            "median_cosine": round(float(np.median(cosine)), 6),
        }
        print(notes)
    hold(args, table, lambda label: "sigpy 0.1.27", cpu=True, **notes)


if __name__ == "__main__":
    main()
