"""Options and inputs that the subcommands of `keras-imaging watermark` share."""

import enum
import pathlib
from typing import Annotated

import typer

from keras_imaging.cli.picture_files import files_of
from keras_imaging.cli.quiet import quiet_start

KEY_FILE = pathlib.Path("faceguard.key")
SAMPLE = pathlib.Path("sample_stamped.png")
# Which pair of networks: the one that fits the region to stamp; to verify, each of them.
AUTO = ("faceguard_nano", "faceguard_base")
PAIR = "auto"
SIDECAR = ".faceguard.json"


class Faces(enum.StrEnum):
    """Where in a picture a mark is, see `keras_imaging.watermark.photograph.stamp_regions`."""

    LARGEST = "largest"
    ALL = "all"
    ONE = "one"
    NONE = "none"


KeyFile = Annotated[pathlib.Path, typer.Option("--key", help="Key file, from `keygen`.")]
Identity = Annotated[
    str | None,
    typer.Option(help="Whose mark.", show_default="the identity in the key file"),
]
Pair = Annotated[
    str,
    typer.Option(
        "--weights",
        help="Which pair of networks: faceguard_base (for regions from 512 pixels on), "
        "faceguard_nano, auto (embed chooses by the size of the region, verify tries both), or a "
        "folder: of a run, or with encoder.keras and decoder.keras.",
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


def networks_of(weights):
    """The encoder and decoder that --weights names."""
    with quiet_start():
        from keras_imaging.models import load
    return load(weights, "encoder", "watermark"), load(weights, "decoder", "watermark")


def pairs_of(weights):
    """The pairs of networks that --weights names, by their names."""
    names = AUTO if weights == PAIR else (weights,)
    return {name: networks_of(name) for name in names}


def check_key(path):
    """Refuse a key file that is not there, before anything is loaded."""
    if not path.is_file():
        raise ValueError(
            f"Cannot read the key file {str(path)!r}: there is none. `keras-imaging watermark "
            "keygen` makes one."
        )


def key_of(path, identity, force):
    """The key in a file, for another identity if one is given."""
    with quiet_start():
        from keras_imaging.watermark.keys import read_key
    key = read_key(path, force)
    return key if identity is None else key._replace(identity=identity)


def whose(key):
    """What a manifest says of a key, from which it cannot be found."""
    from keras_imaging.watermark.keys import fingerprint

    return {"identity": key.identity, "fingerprint": fingerprint(key.secret)}


def box_of(text):
    """The region that --box says."""
    if text is None:
        return None
    try:
        left, top, right, bottom = (int(side) for side in text.split(","))
    except ValueError:
        raise ValueError(
            f"Expected --box as LEFT,TOP,RIGHT,BOTTOM in whole pixels. Received: {text!r}"
        ) from None
    with quiet_start():
        from keras_imaging.watermark.region import Box
    return Box(left, top, right, bottom)


def nonce_of_text(text):
    """The nonce that --nonce says."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"Expected --nonce as hexadecimal digits. Received: {text!r}") from None


def own_files(key, registry):
    """The key file and those of the registry, which are no pictures where they lie among them."""
    own = [key]
    if registry is not None:
        endings = ("", ".lock", "-journal", "-wal", "-shm")
        own += [registry.with_name(f"{registry.name}{ending}") for ending in endings]
    return {path.resolve() for path in own}


def pictures_of(source, aside):
    """A picture, or every file of a folder but sidecars: what cannot be read is to be named."""
    if not source.is_dir():
        return [source]
    is_picture = is_picture_in(source, aside)
    paths = [path for path in files_of(source) if is_picture(path.name)]
    if not paths:
        raise ValueError(f"The folder {str(source)!r} holds no pictures.")
    return paths


def is_picture_in(folder, aside):
    """Whether the file of a name in a folder is neither sidecar nor one of `own_files`."""
    own = {path.name for path in aside if isinstance(folder, pathlib.Path)
           and path.parent == folder.resolve()}  # fmt: skip
    return lambda name: not name.endswith(SIDECAR) and name not in own


def candidate_nonces(path, given, issued):
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
