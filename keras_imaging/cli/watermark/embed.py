"""`keras-imaging watermark embed`: stamp pictures."""

import contextlib
import enum
import functools
import pathlib
from importlib import resources
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.places import Url, place_of
from keras_imaging.cli.output import check_outputs, give_report
from keras_imaging.cli.picture_files import one_by_one, possible, targets_of, work_on
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_source, check_targets
from keras_imaging.cli.watermark.inputs import (
    KEY_FILE,
    PAIR,
    SAMPLE,
    Faces,
    Force,
    Identity,
    KeyFile,
    Pair,
    Region,
    RegistryFile,
    box_of,
    check_key,
    is_picture_in,
    key_of,
    nonce_of_text,
    own_files,
    pairs_of,
    pictures_of,
    whose,
)
from keras_imaging.cli.watermark.output import stamped_item, tell_stamped
from keras_imaging.formats import STAMPABLE


class Binding(enum.StrEnum):
    """What the bits depend on beside key and nonce."""

    NONE = "none"
    CONTENT = "content"


class Format(enum.StrEnum):
    """Of stamped pictures."""

    PNG = "png"
    JPEG = "jpeg"


@engines.with_engine
def embed_marks(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures. Without it a sample picture is stamped, if "
            "need be with a new key.",
            show_default=False,
        ),
    ] = None,
    key: KeyFile = KEY_FILE,
    identity: Identity = None,
    out: engines.Out = None,
    format: Annotated[
        Format, typer.Option(help="PNG loses nothing. JPEG is smaller. --out says it by its name.")
    ] = Format.PNG,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG files.")] = 95,
    faces: Annotated[
        Faces,
        typer.Option(
            help="What to stamp. largest: the largest face, or the whole picture if there is none; "
            "all: every face; one: refuse pictures with none or several; none: the whole picture."
        ),
    ] = Faces.LARGEST,
    box: Region = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Greatest change as a share of white.",
            show_default="the least that is verified after JPEG 75 at half the size",
        ),
    ] = None,
    accept_weak: Annotated[
        bool,
        typer.Option(
            "--accept-weak",
            help="Exit with 0 even if a mark is not verified in the picture, or after JPEG 75 at "
            "half its size.",
        ),
    ] = False,
    nonce: Annotated[
        str | None,
        typer.Option(
            help="Give the picture bits of its own: `random`, or hexadecimal digits. Kept in "
            "PICTURE.faceguard.json.",
            show_default="random with --registry, else none",
        ),
    ] = None,
    bind: Annotated[
        Binding,
        typer.Option(
            help="content: the bits depend on what the face coarsely looks like, too, so that a "
            "mark that was copied to another face is not verified. Kept in the nonce."
        ),
    ] = Binding.NONE,
    registry: RegistryFile = None,
    weights: Pair = PAIR,
    force: Force = False,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Of a folder: leave what is stamped already, and do the rest.",
        ),
    ] = False,
    *,
    by: engines.Options,
) -> None:
    """Stamp pictures.

    Writes PICTURE_stamped.png beside the picture, or the folder FOLDER_stamped, unless --out says
    otherwise; upright, with its metadata. Each is then verified as `verify` does it, and once more
    after JPEG of quality 75 at half its size. Files of a folder that cannot be read are named and
    skipped. The exit code is 1 if some were, or if a mark is not verified; 2 after an error.
    """
    by.check(source, out)
    region = box_of(box)
    settings = {
        "strength": strength,
        "box": region,
        "faces": faces.value,
        "quality": quality,
        "bind": bind is Binding.CONTENT,
    }
    if by.ray:
        if resume:
            raise ValueError("--engine ray goes on by its manifest, without --resume.")
        if registry is not None and (by.address is not None or isinstance(out or source, Url)):
            raise ValueError("--registry is a file of one machine: no --address, no URL.")
        check_key(key)
        who = {"key": key, "identity": identity, "force": force}
        task = {"who": who, "nonce": nonce, "registry": registry, "weights": weights}
        _by_ray(source, out, format, task, settings, by, as_json, overwrite, accept_weak)
        return
    check_source(source)
    if resume and (overwrite or source is None or not source.is_dir()):
        raise ValueError("--resume goes on with a folder, and replaces nothing.")
    if source is not None:
        check_key(key)
    nonce_of = _nonces(nonce, registry, source is not None and source.is_dir())
    alone = source is None or not source.is_dir()
    with contextlib.ExitStack() as stack:
        if source is None:
            sample = resources.files("keras_imaging.data") / "samples" / "astronaut.png"
            jobs = [(stack.enter_context(resources.as_file(sample)), out or SAMPLE)]
        else:
            jobs = _jobs(source, out, format, own_files(key, registry))
        skipped = {}
        if alone:
            check_targets([jobs[0][1]], overwrite, STAMPABLE)
        else:
            if resume:
                jobs = [job for job in jobs if not job[1].exists()]
            jobs, skipped = possible(jobs, overwrite)
        with quiet_start():
            from keras_imaging.watermark.sidecar import sidecar_path
        # A sidecar may be that of a picture which was moved away.
        if alone:
            check_outputs([sidecar_path(jobs[0][1])], overwrite)
        else:
            jobs, others = possible(jobs, overwrite, sidecar_path)
            skipped.update(others)
        if source is None:
            _sample_key(key)
        secret = key_of(key, identity, force)
        networks = pairs_of(weights)
        store = _opened(networks, registry, stack)
        stamp = functools.partial(_stamp_one, networks, secret, nonce_of, store, settings)
        if alone:
            report = {"written": [stamp(*jobs[0])]}
        else:
            report = work_on(jobs, skipped, stamp, "stamping")
    report = {"identity": secret.identity, "weights": weights, **report}
    give_report(report, as_json, tell_stamped)
    if not accept_weak and not all(item["holds"] for item in report["written"]):
        raise typer.Exit(1)


def _by_ray(source, out, format, task, settings, by, as_json, overwrite, accept_weak):
    _nonces(task["nonce"], task["registry"], True)
    who, aside = task["who"], own_files(task["who"]["key"], task["registry"])
    secret = key_of(who["key"], who["identity"], who["force"])
    own = {"key": who["key"].resolve(), "identity": secret.identity}
    registry = task["registry"] and task["registry"].resolve()
    weights = engines.lasting(task["weights"])
    task = {**task, "who": {**who, **own}, "registry": registry, "weights": weights}
    made = engines.Made(
        "watermark embed",
        functools.partial(_walk, task, settings),
        {**whose(secret), "nonce": task["nonce"], "weights": weights, "format": format, **settings},
        "_stamped",
        _suffix(format),
    )
    is_picture = is_picture_in(source, aside)
    report, manifest = engines.by_ray(made, source, out, by, overwrite, is_picture)
    weak = [] if accept_weak else [one["input"] for one in manifest.reports() if not one["holds"]]
    report = {"identity": secret.identity, "weights": weights, **report, "weak": weak}
    engines.finish(report, as_json, _tell_weak, int(bool(weak)))


def _tell_weak(report):
    for name in report["weak"]:
        typer.echo(f"  The mark does not hold: {name}", err=True)


def _walk(task, settings):
    networks = pairs_of(task["weights"])
    # Open until the worker ends.
    store = _opened(networks, task["registry"], contextlib.ExitStack())
    who = task["who"]
    secret = key_of(who["key"], who["identity"], who["force"])
    nonce_of = _nonces(task["nonce"], task["registry"], True)
    return one_by_one(functools.partial(_stamp_one, networks, secret, nonce_of, store, settings))


def _opened(networks, registry, stack):
    """The registry, once the networks are known to fit each other."""
    from keras_imaging.watermark.photograph import check_pair
    from keras_imaging.watermark.registry import Registry

    for pair in networks.values():
        check_pair(*pair)
    return stack.enter_context(Registry(registry)) if registry else None


def _stamp_one(networks, secret, nonce_of, store, settings, path, target):
    from keras_imaging.watermark.photograph import stamp_file

    stamped = stamp_file(networks, path, target, secret, nonce_of(), registry=store, **settings)
    return stamped_item(path, stamped, settings["quality"])


def _sample_key(path):
    """A key to try things with, where there is none."""
    if path.exists():
        return
    with quiet_start():
        from keras_imaging.watermark.keys import generate_key, write_key
    write_key(path, generate_key("sample"))
    typer.echo(f"Wrote {path}: a key for the identity 'sample'.", err=True)


def _nonces(option, registry, of_many):
    """A function that gives each picture its nonce."""
    if option == "random" or (option is None and registry is not None):

        def random():
            from keras_imaging.watermark.sidecar import new_nonce

            return new_nonce()

        return random
    if option is None:
        return lambda: b""
    nonce = nonce_of_text(option)
    if of_many:
        raise ValueError("One --nonce cannot serve a folder of pictures; say `--nonce random`.")
    return lambda: nonce


def _jobs(source, out, format, aside):
    """Pairs of a picture and where its stamped form goes."""
    suffix = _suffix(format)
    if not source.is_dir():
        name = f"{source.stem}_stamped{suffix}"
        if out is not None and out.is_dir():
            return [(source, out / name)]
        return [(source, out or source.with_name(name))]
    sources = pictures_of(source, aside)
    targets = targets_of(source, sources, out, "_stamped", suffix)
    return list(zip(sources, targets, strict=True))


def _suffix(format):
    return ".jpg" if format is Format.JPEG else ".png"
