"""`keras-imaging watermark report`: score verification on folders of pictures."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import print_json, progress_bar
from keras_imaging.cli.refusals import check_folder
from keras_imaging.cli.watermark.inputs import (
    KEY_FILE,
    PAIR,
    Faces,
    Force,
    Identity,
    KeyFile,
    Pair,
    candidate_nonces,
    check_key,
    key_of,
    pairs_of,
)
from keras_imaging.cli.watermark.output import tell_report


def score_folders(
    benign: Annotated[
        list[pathlib.Path],
        typer.Option(help="Folder of stamped pictures, processed or not; may be repeated."),
    ],
    malicious: Annotated[
        list[pathlib.Path] | None,
        typer.Option(help="Folder of manipulated ones; may be repeated.", show_default=False),
    ] = None,
    unmarked: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder of pictures never stamped.", show_default=False),
    ] = None,
    key: KeyFile = KEY_FILE,
    identity: Identity = None,
    alpha: Annotated[
        list[float] | None,
        typer.Option(help="Rate of false accepts; may be repeated.", show_default="1e-3, 1e-6"),
    ] = None,
    faces: Annotated[
        Faces,
        typer.Option(
            help="Where to look: the one place that was stamped. largest: the largest face, or the "
            "whole picture if there is none; one: leave out pictures with none or several; none: "
            "the whole picture."
        ),
    ] = Faces.LARGEST,
    weights: Pair = PAIR,
    force: Force = False,
    as_json: options.Json = False,
) -> None:
    """Score verification on folders of pictures stamped with one key.

    The subfolders of a folder are its groups. A picture's sidecar says its nonce. Files that cannot
    be read are named and skipped; the exit code is then 1.
    """
    if faces is Faces.ALL:
        raise ValueError("--faces all looks in several places: say which one was stamped.")
    folders = [*benign, *(malicious or []), *([unmarked] if unmarked else [])]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names) or "unmarked" in names[: len(benign) + len(malicious or [])]:
        raise ValueError(f"Expected folders of different names. Received: {', '.join(names)}")
    for folder in folders:
        check_folder(folder)
    check_key(key)
    secret = key_of(key, identity, force)
    decoders = {name: pair[1] for name, pair in pairs_of(weights).items()}
    alphas = tuple(alpha or (1e-3, 1e-6))
    from keras_imaging.data.images import list_images
    from keras_imaging.watermark.report import detection_report

    paths = {
        "unmarked" if folder is unmarked else name: (folder, list_images(folder, recursive=True))
        for folder, name in zip(folders, names, strict=True)
    }
    with progress_bar("verifying") as progress:
        found, groups, skipped = _verify(decoders, secret, paths, faces, min(alphas), progress)
    result = detection_report(
        {name: found[name] for name in names[: len(benign)]},
        {name: found[name] for name in names[len(benign) :] if name in found},
        found.get("unmarked"),
        alphas,
        groups,
    )
    if as_json:
        print_json({"weights": weights, **result.to_dict(), "skipped": skipped})
    else:
        tell_report(result)
        for reason in skipped.values():
            typer.echo(f"Skipped: {reason}", err=True)
    if skipped:
        raise typer.Exit(1)


def _verify(decoders, key, paths, faces, alpha, progress):
    """What is found in every picture of every set, its group, and why some were left out."""
    from keras_imaging.watermark.photograph import verify_file

    results, groups, skipped = {}, {}, {}
    total, done = sum(len(files) for _, files in paths.values()), 0
    for name, (folder, files) in paths.items():
        found = []
        for path in files:
            try:
                nonces, _ = candidate_nonces(path, None, None)
                own = verify_file(decoders, path, key, nonces, alpha, None, faces.value, False)
                found.append((own.result, str(path.relative_to(folder).parent)))
            except ValueError as error:
                skipped[str(path)] = str(error)
            done += 1
            progress(done, total)
        if not found:
            raise ValueError(f"No picture in {str(folder)!r} can be read.")
        results[name], labels = (list(column) for column in zip(*found, strict=True))
        if set(labels) != {"."}:
            groups[name] = labels
    return results, groups, skipped
