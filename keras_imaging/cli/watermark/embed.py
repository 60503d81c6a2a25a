"""`keras-imaging watermark embed`: stamp pictures."""

import contextlib
import enum
import pathlib
from importlib import resources
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, give_report
from keras_imaging.cli.picture_files import possible, targets_of, work_on
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
    key_of,
    nonce_of_text,
    own_files,
    pairs_of,
    pictures_of,
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


def embed_marks(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it a sample picture is stamped, if "
            "need be with a new key.",
            show_default=False,
        ),
    ] = None,
    key: KeyFile = KEY_FILE,
    identity: Identity = None,
    out: options.Out = None,
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
) -> None:
    """Stamp pictures.

    Writes PICTURE_stamped.png beside the picture, or the folder FOLDER_stamped, unless --out says
    otherwise; upright, with its metadata. Each is then verified as `verify` does it, and once more
    after JPEG of quality 75 at half its size. Files of a folder that cannot be read are named and
    skipped. The exit code is 1 if some were, or if a mark is not verified; 2 after an error.
    """
    check_source(source)
    if resume and (overwrite or source is None or not source.is_dir()):
        raise ValueError("--resume goes on with a folder, and replaces nothing.")
    if source is not None:
        check_key(key)
    nonce_of = _nonces(nonce, registry, source)
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
        region = box_of(box)
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
        from keras_imaging.watermark.photograph import check_pair, stamp_file
        from keras_imaging.watermark.registry import Registry

        for pair in networks.values():
            check_pair(*pair)
        store = stack.enter_context(Registry(registry)) if registry else None
        settings = {
            "strength": strength,
            "box": region,
            "faces": faces.value,
            "quality": quality,
            "registry": store,
            "bind": bind is Binding.CONTENT,
        }

        def stamp(path, target):
            stamped = stamp_file(networks, path, target, secret, nonce_of(), **settings)
            return stamped_item(path, stamped, quality)

        if alone:
            report = {"written": [stamp(*jobs[0])]}
        else:
            report = work_on(jobs, skipped, stamp, "stamping")
    report = {"identity": secret.identity, "weights": weights, **report}
    give_report(report, as_json, tell_stamped)
    if not accept_weak and not all(item["holds"] for item in report["written"]):
        raise typer.Exit(1)


def _sample_key(path):
    """A key to try things with, where there is none."""
    if path.exists():
        return
    with quiet_start():
        from keras_imaging.watermark.keys import generate_key, write_key
    write_key(path, generate_key("sample"))
    typer.echo(f"Wrote {path}: a key for the identity 'sample'.", err=True)


def _nonces(option, registry, source):
    """A function that gives each picture its nonce."""
    if option == "random" or (option is None and registry is not None):

        def random():
            from keras_imaging.watermark.sidecar import new_nonce

            return new_nonce()

        return random
    if option is None:
        return lambda: b""
    nonce = nonce_of_text(option)
    if source is not None and source.is_dir():
        raise ValueError("One --nonce cannot serve a folder of pictures; say `--nonce random`.")
    return lambda: nonce


def _jobs(source, out, format, aside):
    """Pairs of a picture and where its stamped form goes."""
    suffix = ".jpg" if format is Format.JPEG else ".png"
    if not source.is_dir():
        name = f"{source.stem}_stamped{suffix}"
        if out is not None and out.is_dir():
            return [(source, out / name)]
        return [(source, out or source.with_name(name))]
    sources = pictures_of(source, aside)
    targets = targets_of(source, sources, out, "_stamped", suffix)
    return list(zip(sources, targets, strict=True))
