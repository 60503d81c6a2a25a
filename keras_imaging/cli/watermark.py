"""`keras-imaging watermark`: stamp portraits with a key, and verify pictures."""

import contextlib
import enum
import json
import pathlib
import tempfile
import webbrowser
from importlib import resources
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, print_json, progress_bar
from keras_imaging.cli.picture_files import files_of, targets_of
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.watermark_output import (
    stamped_item,
    tell_report,
    tell_stamped,
    tell_verified,
    verified_item,
)

watermark = typer.Typer(
    help="Stamp portraits with a key, and verify pictures.", no_args_is_help=True
)

_KEY_FILE = pathlib.Path("faceguard.key")
_SAMPLE = pathlib.Path("sample_stamped.png")
# The pair that embeds must be the one that verifies.
_PAIR = "faceguard_base"


class Faces(enum.StrEnum):
    """Where a picture is stamped, see `keras_imaging.watermark.photograph.stamp_regions`."""

    LARGEST = "largest"
    ALL = "all"
    ONE = "one"
    NONE = "none"


class Format(enum.StrEnum):
    """Of stamped pictures."""

    PNG = "png"
    JPEG = "jpeg"


KeyFile = Annotated[pathlib.Path, typer.Option("--key", help="Key file, from `keygen`.")]
Identity = Annotated[
    str | None,
    typer.Option(help="Whose mark.", show_default="the identity in the key file"),
]
Pair = Annotated[
    str,
    typer.Option(
        "--weights",
        help="Shipped pair of networks; or a folder: of a run, or with encoder.keras and "
        "decoder.keras.",
    ),
]
RegistryFile = Annotated[
    pathlib.Path | None,
    typer.Option("--registry", help="SQLite file of stamped pictures.", show_default=False),
]
Region = Annotated[
    str | None,
    typer.Option("--box", help="Region LEFT,TOP,RIGHT,BOTTOM in pixels.", show_default=False),
]
Alpha = Annotated[float, typer.Option(help="Greatest rate of false accepts.")]
Force = Annotated[bool, typer.Option("--force", help="Use a key file that others may read.")]


@watermark.command()
def keygen(
    identity: Annotated[str, typer.Argument(help="The person whose pictures will be stamped.")],
    out: Annotated[pathlib.Path, typer.Option(help="Key file to write.")] = _KEY_FILE,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a key for a person. Who has the file can stamp pictures as them: keep it, and a copy."""
    check_outputs([out], overwrite)
    with quiet_start():
        from keras_imaging.watermark.keys import fingerprint, generate_key, write_key
    key = generate_key(identity)
    write_key(out, key, overwrite)
    if as_json:
        name = fingerprint(key.secret)
        print_json({"key_file": out, "identity": identity, "fingerprint": name})
        return
    typer.echo(f"Wrote {out}: a key for {identity}, fingerprint {fingerprint(key.secret)}.")
    typer.echo("Keep it secret, and keep a copy: without it nothing it stamped can be verified.")


@watermark.command()
def embed(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it a sample picture is stamped, if "
            "need be with a new key.",
            show_default=False,
        ),
    ] = None,
    key: KeyFile = _KEY_FILE,
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
        typer.Option(help="Greatest change as a share of white.", show_default="the networks' own"),
    ] = None,
    nonce: Annotated[
        str | None,
        typer.Option(
            help="Give the picture bits of its own: `random`, or hexadecimal digits. Kept in "
            "PICTURE.faceguard.json.",
            show_default="random with --registry, else none",
        ),
    ] = None,
    registry: RegistryFile = None,
    weights: Pair = _PAIR,
    force: Force = False,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Stamp pictures.

    Writes PICTURE_stamped.png beside the picture, or the folder FOLDER_stamped, unless --out says
    otherwise; upright, with EXIF and colour profile. Files of a folder that cannot be read are
    named and skipped. The exit code is 1 if some were, or if a mark does not read back; 2 after an
    error.
    """
    if source is not None and not source.exists():
        raise ValueError(f"There is no file or folder {str(source)!r}.")
    region = _box(box)
    nonce_of = _nonces(nonce, registry, source)
    with contextlib.ExitStack() as stack:
        if source is None:
            sample = resources.files("keras_imaging.data") / "samples" / "astronaut.png"
            jobs = [(stack.enter_context(resources.as_file(sample)), out or _SAMPLE)]
        else:
            jobs = _jobs(source, out, format, _own_files(key, registry))
        with quiet_start():
            from keras_imaging.watermark.sidecar import sidecar_path
        targets = [target for _, target in jobs]
        # A sidecar may be that of a picture which was moved away.
        check_outputs([*targets, *map(sidecar_path, targets)], overwrite)
        if source is None:
            _sample_key(key)
        secret = _key(key, identity, force)
        networks = _networks(weights)
        from keras_imaging.watermark.photograph import check_pair, stamp_file
        from keras_imaging.watermark.registry import Registry

        check_pair(*networks)
        store = stack.enter_context(Registry(registry)) if registry else None
        settings = {
            "strength": strength,
            "box": region,
            "faces": faces.value,
            "quality": quality,
            "registry": store,
        }
        alone = source is None or not source.is_dir()
        written, skipped, stopped = [], {}, None
        progress = stack.enter_context(progress_bar("stamping"))
        for done, (path, target) in enumerate(jobs, start=1):
            own = nonce_of()
            try:
                stamped = stamp_file(networks, path, target, secret, own, **settings)
            except ValueError as error:
                if alone:
                    raise
                skipped[path.name] = str(error)
            # The disk is full, or the registry held: what is written is to be told all the same.
            except Exception as error:
                if alone:
                    raise
                stopped = error
                break
            else:
                written.append(stamped_item(path, stamped, own, quality))
            progress(done, len(jobs))
    report = {"identity": secret.identity, "weights": weights, "written": written}
    if skipped:
        report["skipped"] = skipped
    if stopped is not None:
        report["stopped"] = {"file": path.name, "reason": str(stopped)}
    if as_json:
        print_json(report)
    else:
        tell_stamped(report)
    if stopped is not None:
        typer.echo(f"Stopped at {path.name}, after {done - 1} of {len(jobs)} files.", err=True)
        raise stopped
    if skipped or not all(item["reads_back"] for item in written):
        raise typer.Exit(1)


@watermark.command()
def verify(
    source: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A picture or a folder of pictures. Without it the stamped sample picture.",
            show_default=False,
        ),
    ] = None,
    key: KeyFile = _KEY_FILE,
    identity: Identity = None,
    alpha: Alpha = 1e-6,
    faces: Annotated[
        bool, typer.Option(help="Try every face, and the whole picture; or the latter only.")
    ] = True,
    box: Region = None,
    nonce: Annotated[
        str | None,
        typer.Option(
            help="Hexadecimal digits.",
            show_default="that of PICTURE.faceguard.json, else all in --registry, else none",
        ),
    ] = None,
    registry: RegistryFile = None,
    weights: Pair = _PAIR,
    force: Force = False,
    as_json: options.Json = False,
) -> None:
    """Look for a person's mark in pictures.

    Exit codes: 0 all verified, 1 some not verified, 2 an error. "Not verified" is not "fake": the
    picture may never have been stamped.
    """
    if source is None and not _SAMPLE.exists():
        raise ValueError(
            f"Give a picture; or run `keras-imaging watermark embed`, which makes {_SAMPLE}."
        )
    source = source or _SAMPLE
    if not source.exists():
        raise ValueError(f"There is no file or folder {str(source)!r}.")
    if registry is not None and not registry.is_file():
        raise ValueError(f"There is no registry {str(registry)!r}.")
    region, given = _box(box), None if nonce is None else _hex(nonce)
    secret = _key(key, identity, force)
    decoder = _networks(weights)[1]
    from keras_imaging.watermark.photograph import verify_file

    issued = _issued(registry, secret)
    paths = _pictures(source, _own_files(key, registry))
    checked, failed = [], {}
    with progress_bar("verifying") as progress:
        for done, path in enumerate(paths, start=1):
            try:
                nonces, remark = _candidates(path, given, issued)
                found = verify_file(
                    decoder, path, secret, nonces, alpha, region, "all" if faces else "none"
                )
            except ValueError as error:
                if not source.is_dir():
                    raise
                failed[path.name] = str(error)
            else:
                checked.append(verified_item(path, found, remark))
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


@watermark.command()
def report(
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
    key: KeyFile = _KEY_FILE,
    identity: Identity = None,
    alpha: Annotated[
        list[float] | None,
        typer.Option(help="Rate of false accepts; may be repeated.", show_default="1e-3, 1e-6"),
    ] = None,
    faces: Annotated[
        bool, typer.Option(help="Read the largest face, as stamped; or the whole picture.")
    ] = True,
    weights: Pair = _PAIR,
    force: Force = False,
    as_json: options.Json = False,
) -> None:
    """Score verification on folders of pictures stamped with one key.

    The subfolders of a folder are its groups. A picture's sidecar says its nonce. Files that cannot
    be read are named and skipped; the exit code is then 1.
    """
    folders = [*benign, *(malicious or []), *([unmarked] if unmarked else [])]
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names) or "unmarked" in names[: len(benign) + len(malicious or [])]:
        raise ValueError(f"Expected folders of different names. Received: {', '.join(names)}")
    secret = _key(key, identity, force)
    networks = _networks(weights)
    from keras_imaging.data.images import list_images
    from keras_imaging.watermark.report import detection_report

    paths = {
        "unmarked" if folder is unmarked else name: (folder, list_images(folder, recursive=True))
        for folder, name in zip(folders, names, strict=True)
    }
    with progress_bar("verifying") as progress:
        counts, groups, skipped = _count(networks[1], secret, paths, faces, progress)
    result = detection_report(
        networks[0].message_length,
        {name: counts[name] for name in names[: len(benign)]},
        {name: counts[name] for name in names[len(benign) :] if name in counts},
        counts.get("unmarked"),
        tuple(alpha or (1e-3, 1e-6)),
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


@watermark.command()
def web(
    weights: Pair = _PAIR,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    node_modules: Annotated[
        pathlib.Path | None,
        typer.Option(help="Folder where npm installed LiteRT.js.", show_default="beside the page"),
    ] = None,
) -> None:
    """Serve a page that stamps and verifies pictures in the browser.

    On this machine only. Pictures and keys do not leave the page.
    """
    networks = _networks(weights)
    try:
        with quiet_start():
            from keras_imaging.export.web_page import page_server, write_networks
    except ImportError as error:
        raise ValueError(str(error)) from error
    with (
        tempfile.TemporaryDirectory() as folder,
        # Before the networks are converted: it may say that something is to be installed.
        page_server(folder, port, node_modules) as server,
    ):
        with quiet_start():
            write_networks(*networks, folder, pathlib.Path(weights).resolve().name)
        address = f"http://127.0.0.1:{server.server_port}/"
        typer.echo(f"Serving {address}; Ctrl-C ends it.")
        if browser:
            webbrowser.open(address)
        server.serve_forever()


def _networks(weights):
    """The encoder and decoder that --weights names."""
    with quiet_start():
        from keras_imaging.cli.networks import load_keras
        from keras_imaging.models.faceguard_nets import FaceGuardDecoder, FaceGuardEncoder
    folder = pathlib.Path(weights)
    if folder.is_dir():
        classes = {"encoder": FaceGuardEncoder, "decoder": FaceGuardDecoder}
        if (folder / "encoder.json").is_file():
            return tuple(_trained(folder, name, cls) for name, cls in classes.items())
        return tuple(load_keras(folder / f"{name}.keras", (cls,)) for name, cls in classes.items())
    pairs = sorted(name.replace("_encoder", "") for name in FaceGuardEncoder.presets)
    if weights not in pairs:
        raise ValueError(
            f"Expected --weights to be a folder or one of {', '.join(pairs)}. Received: {weights!r}"
        )
    size = weights.removeprefix("faceguard_")
    return (
        FaceGuardEncoder.from_preset(f"faceguard_encoder_{size}"),
        FaceGuardDecoder.from_preset(f"faceguard_decoder_{size}"),
    )


def _trained(folder, name, network):
    """A network of a run of `keras-imaging train faceguard`."""
    path = folder / f"{name}.json"
    weights = str(folder / f"{name}.weights.h5")
    try:
        card = json.loads(path.read_bytes())
        return network(**{**card["config"], "weights": weights})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"Cannot make a network from {str(path)!r}: {reason}") from error


def _key(path, identity, force):
    with quiet_start():
        from keras_imaging.watermark.keys import read_key
    key = read_key(path, force)
    return key if identity is None else key._replace(identity=identity)


def _sample_key(path):
    """A key to try things with, where there is none."""
    if path.exists():
        return
    with quiet_start():
        from keras_imaging.watermark.keys import generate_key, write_key
    write_key(path, generate_key("sample"))
    typer.echo(f"Wrote {path}: a key for the identity 'sample'.", err=True)


def _box(text):
    if text is None:
        return None
    with quiet_start():
        from keras_imaging.watermark.region import Box
    try:
        return Box(*(int(side) for side in text.split(",")))
    except (TypeError, ValueError):
        raise ValueError(
            f"Expected --box as LEFT,TOP,RIGHT,BOTTOM in whole pixels. Received: {text!r}"
        ) from None


def _hex(text):
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"Expected --nonce as hexadecimal digits. Received: {text!r}") from None


def _nonces(option, registry, source):
    """A function that gives each picture its nonce."""
    if option == "random" or (option is None and registry is not None):
        with quiet_start():
            from keras_imaging.watermark.sidecar import new_nonce
        return new_nonce
    if option is None:
        return lambda: b""
    nonce = _hex(option)
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
    sources = _pictures(source, aside)
    targets = targets_of(source, sources, out, "_stamped", suffix)
    return list(zip(sources, targets, strict=True))


def _own_files(key, registry):
    """The key file and those of the registry, which are no pictures where they lie among them."""
    own = [key]
    if registry is not None:
        endings = ("", ".lock", "-journal", "-wal", "-shm")
        own += [registry.with_name(f"{registry.name}{ending}") for ending in endings]
    return {path.resolve() for path in own}


def _pictures(source, aside):
    """A picture, or every file of a folder but sidecars: what cannot be read is to be named."""
    if not source.is_dir():
        return [source]
    paths = [
        path
        for path in files_of(source)
        if not path.name.endswith(".faceguard.json") and path.resolve() not in aside
    ]
    if not paths:
        raise ValueError(f"The folder {str(source)!r} holds no pictures.")
    return paths


def _issued(path, key):
    """Nonces in the registry, None without one."""
    if path is None:
        return None
    from keras_imaging.watermark.keys import fingerprint
    from keras_imaging.watermark.registry import Registry

    with Registry(path, read_only=True) as registry:
        return registry.nonces(key.identity, fingerprint(key.secret))


def _candidates(path, given, issued):
    """The nonces to try, and a remark."""
    from keras_imaging.watermark.sidecar import read_sidecar

    own = read_sidecar(path) if given is None else given
    if issued is None:
        return [own or b""], ""
    if own is None:
        # Without one the mark may still be there, but nothing that this registry knows of.
        remark = "It was never issued in this registry, which holds nothing for this key."
        return issued or [b""], "" if issued else remark
    if own in issued:
        return [own], ""
    return [own], f"The nonce {own.hex() or '(none)'} was never issued in this registry."


def _count(decoder, key, paths, faces, progress):
    """Matches and group of every picture of every set, and why some were left out."""
    from keras_imaging.watermark.photograph import verify_file

    counts, groups, skipped = {}, {}, {}
    total, done = sum(len(files) for _, files in paths.values()), 0
    for name, (folder, files) in paths.items():
        found = []
        for path in files:
            try:
                nonces, _ = _candidates(path, None, None)
                # One region, as stamped: the best of several would match more by chance.
                where = "largest" if faces else "none"
                result = verify_file(decoder, path, key, nonces, 0.5, None, where).result
                group = path.relative_to(folder).parent
                found.append((result.matches, str(group)))
            except ValueError as error:
                skipped[str(path)] = str(error)
            done += 1
            progress(done, total)
        if not found:
            raise ValueError(f"No picture in {str(folder)!r} can be read.")
        counts[name], labels = (list(column) for column in zip(*found, strict=True))
        if set(labels) != {"."}:
            groups[name] = labels
    return counts, groups, skipped
