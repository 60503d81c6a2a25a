"""`keras-imaging recover`: sparse codes from measurements."""

import enum
import pathlib
import time
import warnings
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json, target_of
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_file, check_targets, check_weights
from keras_imaging.formats import ARRAYS


class Solver(enum.StrEnum):
    """The classical algorithms, see `keras_imaging.solvers`."""

    FISTA = "fista"
    ISTA = "ista"
    AMP = "amp"


# The problem that is made where none is given.
_M, _N, _COUNT, _SPARSITY = 250, 500, 100, 0.1


def recover(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A .npz file with A (m x n), y (problems x m) and, if known, x (problems x n); "
            "or a .npy file with y. Without it a random problem is made.",
            show_default=False,
        ),
    ] = None,
    matrix: Annotated[
        pathlib.Path | None,
        typer.Option(help="A .npy file with A, where the problem has none.", show_default=False),
    ] = None,
    solver: Annotated[
        Solver, typer.Option(help="Which algorithm, where no network is named.")
    ] = Solver.FISTA,
    weights: options.weights("none: a solver") = None,
    lam: Annotated[
        float, typer.Option(min=0, help="Weight of the l1 norm, of ista and fista.")
    ] = 0.025,
    step: Annotated[
        float | None,
        typer.Option(help="Step size, of ista and fista.", show_default="1 / (1.001 ||A||^2)"),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="At most, of ista, fista and amp.")] = 1000,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative step at which a problem is solved; 0: never.")
    ] = 1e-5,
    seed: Annotated[int, typer.Option(help="Of the random problem.")] = 0,
    out: options.Out = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Recover sparse x from y = A x by a classical solver or by a trained network.

    Writes PROBLEM_codes.npz beside the problem (.npy as --out: the codes alone). The error, NMSE
    in dB, is told where x is known.
    """
    if step is not None and not step > 0:
        raise ValueError(f"--step must be positive. Received: {step}")
    target = _target(source, out)
    for path in (source, matrix):
        check_file(path)
    check_weights(weights)
    check_targets([target], overwrite, ARRAYS)
    with warnings.catch_warnings(record=True) as caught, quiet_start():
        warnings.simplefilter("always", UserWarning)
        from keras_imaging.data.arrays import write_arrays
        from keras_imaging.data.sparse import read_matrix

        problem = {} if source is None else _read_problem(source)
        if matrix is not None:
            problem["A"] = read_matrix(matrix)
        if weights is None:
            problem = _completed(problem, source, seed)
            settings = {"n_iterations": iterations, "tolerance": tolerance}
            if solver is not Solver.AMP:
                settings.update(lam=lam, step=step)
            codes, report = _solve(solver.value, problem, settings)
        else:
            network, name = _load(weights, problem.get("A"))
            if "A" not in problem and network.dictionary is not None:
                import keras

                problem["A"] = keras.ops.convert_to_numpy(network.dictionary)
            problem = _completed(problem, source, seed)
            codes, report = _apply(network, name, problem)
        report.update(_compare(problem, codes))
        written = {"codes": codes} | (problem if source is None else {})
        write_arrays(target, written)
    report = {**report, "output": target, "warnings": _messages(caught)}
    _tell(report, as_json)


def _target(source, out):
    default = pathlib.Path("sample_codes.npz")
    if source is not None:
        default = source.with_name(f"{source.stem}_codes.npz")
    return target_of(out, default)


def _read_problem(path):
    from keras_imaging.data.arrays import read_arrays

    arrays = read_arrays(path)
    if list(arrays) == [""]:
        return {"y": arrays[""]}
    if "y" not in arrays:
        raise ValueError(f"{str(path)!r} must hold y. Received: {', '.join(arrays) or 'nothing'}")
    return {name: arrays[name] for name in ("A", "y", "x") if name in arrays}


def _completed(problem, source, seed):
    """The problem with everything in place and of fitting shapes, made where none is given."""
    import numpy as np

    from keras_imaging.data.sparse import SparseSampler, random_dictionary
    from keras_imaging.operators.matrix import checked_matrix

    if source is not None and "A" not in problem:
        raise ValueError("The problem has no A: give it as --matrix FILE.npy.")
    A = problem.get("A", None if source else random_dictionary(_M, _N, seed=seed))
    A = checked_matrix(A, allow_zero_columns=False)
    if source is None:
        with warnings.catch_warnings():
            # Told of the codes themselves later.
            warnings.simplefilter("ignore")
            y, x = SparseSampler(A, _SPARSITY, batch_size=_COUNT, seed=seed).batch(0)
        return {"A": A.astype("float32"), "y": y, "x": x}
    problem = {**problem, "A": A.astype("complex64" if A.dtype.kind == "c" else "float32")}
    for name, side in (("y", A.shape[0]), ("x", A.shape[1])):
        if name in problem:
            array = np.atleast_2d(problem[name])
            if array.ndim != 2 or array.shape[1] != side:
                raise ValueError(
                    f"{name} must be (problems, {side}) for A of shape {A.shape}. Received shape "
                    f"{problem[name].shape}."
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are NaN or infinite.")
            problem[name] = array.astype("complex64" if array.dtype.kind == "c" else "float32")
    if not len(problem["y"]):
        raise ValueError("y holds no problem: it is empty.")
    if "x" in problem and len(problem["x"]) != len(problem["y"]):
        raise ValueError(
            f"x and y must be of as many problems. Received {len(problem['x'])} and "
            f"{len(problem['y'])}."
        )
    return problem


def _solve(solver, problem, settings):
    import keras
    import numpy as np

    from keras_imaging import solvers
    from keras_imaging.operators import Matrix

    began = time.monotonic()
    # Without a history an iteration costs half.
    A = Matrix(problem["A"])
    result = getattr(solvers, solver)(problem["y"], A, history=False, **settings)
    converged = np.asarray(result.converged)
    return keras.ops.convert_to_numpy(result.x), {
        "solver": solver,
        "summary": str(result),
        "problems": len(converged),
        "converged": int(converged.sum()),
        "iterations": int(np.max(result.n_iterations)),
        "seconds": round(time.monotonic() - began, 2),
    }


def _load(weights, A):
    """A network and what to call it."""
    from keras_imaging.cli.networks import load_network
    from keras_imaging.operators.matrix import checked_matrix

    network, name = load_network(weights, "sparse_recovery")
    if A is not None:
        A = checked_matrix(A, allow_zero_columns=False)
        # A network stands for one A.
        network.check_dictionary(A, name)
    return network, name


def _apply(network, name, problem):
    began = time.monotonic()
    network.check_inputs(problem["y"])
    # A network that gives all layers' codes gives the last ones last.
    codes = network.predict(problem["y"], verbose=0)
    codes = codes[-1] if isinstance(codes, list) else codes
    count, depth = len(codes), len(network.unfolded)
    return codes, {
        "solver": name,
        "summary": f"{name}: {count} problem{'s' if count > 1 else ''}, {depth} layers",
        "problems": count,
        "iterations": depth,
        "seconds": round(time.monotonic() - began, 2),
    }


def _compare(problem, codes):
    import numpy as np

    from keras_imaging.data.sparse import warn_of_sparsity
    from keras_imaging.metrics import nmse_db

    known = problem.get("x")
    most = np.count_nonzero(codes if known is None else known, axis=1).max()
    warn_of_sparsity(problem["A"], most)
    report = {"nonzeros": int(most)}
    if known is not None and not np.any(known):
        warnings.warn("x is zero throughout: an error relative to it is not defined.", stacklevel=2)
    elif known is not None:
        report["nmse_db"] = nmse_db(codes, known)
    return report


def _messages(caught):
    """What was warned of, once each; Keras' warnings speak to programmers."""
    from_keras = ("/keras/", "\\keras\\")
    messages = [
        " ".join(str(one.message).split())
        for one in caught
        if not any(part in one.filename for part in from_keras)
    ]
    return list(dict.fromkeys(messages))


def _tell(report, as_json):
    for message in report["warnings"]:
        typer.echo(f"warning: {message}", err=True)
    if as_json:
        print_json(report)
        return
    typer.echo(f"{report['summary']}; {report['seconds']} s.")
    if "nmse_db" in report:
        typer.echo(f"NMSE {report['nmse_db']:.2f} dB.")
    typer.echo(f"Wrote {report['output']}.")
