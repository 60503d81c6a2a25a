"""`keras-imaging watermark verify`: look for a person's mark in pictures."""

import functools
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.folders import engine as engines
from keras_imaging.cli.folders.places import place_of
from keras_imaging.cli.output import print_json, progress_bar
from keras_imaging.cli.picture_files import one_by_one
from keras_imaging.cli.refusals import check_source, check_targets
from keras_imaging.cli.watermark.inputs import (
    KEY_FILE,
    PAIR,
    SAMPLE,
    SIDECAR,
    Alpha,
    Faces,
    Force,
    Identity,
    KeyFile,
    Pair,
    Region,
    RegistryFile,
    box_of,
    candidate_nonces,
    check_key,
    is_picture_in,
    key_of,
    nonce_of_text,
    own_files,
    pairs_of,
    pictures_of,
    whose,
)
from keras_imaging.cli.watermark.output import tell_verified, verified_item
from keras_imaging.formats import STAMPABLE


@engines.with_engine
def verify_marks(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            parser=place_of,
            metavar="SOURCE",
            help="A picture or a folder of pictures. Without it the stamped sample picture.",
            show_default=False,
        ),
    ] = None,
    key: KeyFile = KEY_FILE,
    identity: Identity = None,
    alpha: Alpha = 1e-6,
    faces: Annotated[
        Faces,
        typer.Option(
            help="Where to look. all: every face, and the whole picture; largest: the largest "
            "face, or the whole picture if there is none; one: refuse pictures with none or "
            "several; none: the whole picture."
        ),
    ] = Faces.ALL,
    box: Region = None,
    nonce: Annotated[
        str | None,
        typer.Option(
            help="Hexadecimal digits.",
            show_default="that of PICTURE.faceguard.json, else all in --registry, else none",
        ),
    ] = None,
    registry: RegistryFile = None,
    weights: Pair = PAIR,
    force: Force = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Look only where marks usually are: not far from faces, and not in pictures that "
            "were turned or mirrored. Several times as fast where there is no mark.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            help="Say how many bits match, and with --json too. For your eyes only: who hears it "
            "of picture after picture can forge the mark.",
        ),
    ] = False,
    map: Annotated[
        pathlib.Path | None,
        typer.Option(
            help="Picture to write: the parts of the face that carry the mark framed in green, "
            "those that carry none in red, those that cannot be told in amber.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    *,
    by: engines.Options,
) -> None:
    """Look for a person's mark in pictures.

    Verified says: the picture carries the mark of a picture that was stamped with this key and
    nonce. It does not say that it is that picture: a mark can be read by anyone and be put on
    another. Without the mark the answer is wrong at a rate of at most --alpha. "Not verified" is
    not "fake": the picture may never have been stamped. Of a verified face it says in which parts
    no mark was read: they were probably edited. Exit codes: 0 all verified, such parts
    or not; 1 some not verified; 2 an error.
    """
    by.check(source)
    if source is None and not SAMPLE.exists():
        raise ValueError(
            f"Give a picture; or run `keras-imaging watermark embed`, which makes {SAMPLE}."
        )
    source = source or SAMPLE
    if not by.ray:
        check_source(source)
    if map is not None:
        if by.ray or source.is_dir():
            raise ValueError("--map is of one picture. Received: a folder.")
        check_targets([map], overwrite, STAMPABLE)
    check_key(key)
    if registry is not None and not registry.is_file():
        raise ValueError(f"There is no registry {str(registry)!r}.")
    given = None if nonce is None else nonce_of_text(nonce)
    settings = {"alpha": alpha, "box": box_of(box), "faces": faces.value, "thorough": not quick}
    secret = key_of(key, identity, force)
    if by.ray:
        who = {"key": key.resolve(), "identity": secret.identity, "force": force}
        task = {"who": who, "nonce": given, "registry": registry, "weights": weights}
        _by_ray(source, secret, task, settings, verbose, by, as_json)
        return
    codes = _codes(registry, secret)
    decoders = _decoders(weights)
    paths = pictures_of(source, own_files(key, registry))
    checked, failed = [], {}
    with progress_bar("verifying") as progress:
        for done, path in enumerate(paths, start=1):
            try:
                item = _verify_one(decoders, secret, codes, given, settings, verbose, path, map)
            except ValueError as error:
                if not source.is_dir():
                    raise
                failed[path.name] = str(error)
            else:
                checked.append(item)
            progress(done, len(paths))
    report = {"identity": secret.identity, "weights": weights, "alpha": alpha, "pictures": checked}
    if failed:
        report["errors"] = failed
    if as_json:
        print_json(report)
    else:
        tell_verified(report)
    if failed:
        raise typer.Exit(2)
    if not all(item["verdict"] == "verified" for item in checked):
        raise typer.Exit(1)


def _parts(decoders, path, key, found, target):
    """Which parts carry the mark, if something is verified, and their picture if it is wanted."""
    if not found.result.verified or not hasattr(decoders[found.weights], "cell_logits"):
        if target is not None:
            typer.echo(f"{target} was not written: there is no mark to map.", err=True)
        return None
    from keras_imaging.data.images import colours, read_image, write_image
    from keras_imaging.watermark.parts import draw_parts, verified_parts
    from keras_imaging.watermark.photograph import upright

    image = colours(read_image(path))
    parts = verified_parts(decoders, image, key, found)
    if target is not None:
        write_image(target, draw_parts(upright(image, found.orientation), parts))
    return parts


def _by_ray(source, secret, task, settings, verbose, by, as_json):
    registry, who = task["registry"], task["who"]
    aside = own_files(who["key"], registry)
    weights = engines.lasting(task["weights"])
    task = {**task, "registry": registry and registry.resolve(), "weights": weights}
    own = {**whose(secret), "registry": task["registry"]}
    made = engines.Made(
        "watermark verify",
        functools.partial(_walk, task, settings, verbose),
        {**own, "nonce": task["nonce"], "weights": weights, "verbose": verbose, **settings},
        "_verified",
        suffix=None,
        companions=(SIDECAR,),
    )
    is_picture = is_picture_in(source, aside)
    report, manifest = engines.by_ray(made, source, None, by, is_picture=is_picture)
    verified = sum(one["verdict"] == "verified" for one in manifest.reports())
    report = {"identity": who["identity"], "weights": weights, **report, "verified": verified}
    code = 2 if report["skipped"] else int(verified < report["done"])
    engines.finish(report, as_json, _tell_verified, code)


def _tell_verified(report):
    typer.echo(f"Verified: {report['verified']} of {report['done']}.")


def _walk(task, settings, verbose):
    who = task["who"]
    secret = key_of(who["key"], who["identity"], who["force"])
    arguments = _decoders(task["weights"]), secret, _codes(task["registry"], secret)
    work = functools.partial(_verify_one, *arguments, task["nonce"], settings, verbose)
    return one_by_one(lambda path, target: work(path))


def _decoders(weights):
    return {name: pair[1] for name, pair in pairs_of(weights).items()}


def _verify_one(decoders, secret, codes, given, settings, verbose, path, map=None):
    from keras_imaging.watermark.photograph import verify_file

    nonces, remark = candidate_nonces(path, given, None if codes is None else [*codes])
    found = verify_file(decoders, path, secret, nonces, **settings)
    remark = remark or _other_picture(found, codes or {})
    parts = _parts(decoders, path, secret, found, map)
    return verified_item(path, found, remark, verbose, parts)


def _codes(path, key):
    """Nonces in the registry, and what their pictures look like; None without one."""
    if path is None:
        return None
    from keras_imaging.watermark.keys import fingerprint
    from keras_imaging.watermark.registry import Registry

    with Registry(path, read_only=True) as registry:
        return registry.codes(key.identity, fingerprint(key.secret))


def _other_picture(found, codes):
    """A remark if what carries the mark does not look like what was stamped with it."""
    from keras_imaging.watermark.content import looks_alike

    known = b"".join(codes.get(found.nonce, []))
    if not known or looks_alike(found.code, known):
        return ""
    return "It carries the mark of another picture, which was registered with this nonce."
