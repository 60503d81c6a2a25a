"""The nonce of a stamped picture, in a small file beside it: `photo.png.faceguard.json`."""

import json
import os
import pathlib
import secrets

from keras_imaging.data.images import replacing
from keras_imaging.watermark.keys import Key, fingerprint

_FORMAT = "keras_imaging.faceguard.sidecar.v1"

# A nonce is to be unique, not secret.
_NONCE_BYTES = 16


def new_nonce() -> bytes:
    """16 random bytes."""
    return secrets.token_bytes(_NONCE_BYTES)


def sidecar_path(picture: str | os.PathLike) -> pathlib.Path:
    """Where the sidecar of a picture lies."""
    picture = pathlib.Path(picture)
    return picture.with_name(f"{picture.name}.faceguard.json")


def write_sidecar(picture: str | os.PathLike, key: Key, nonce: bytes) -> None:
    """Write the sidecar of a picture; what existed is replaced whole or not at all."""
    text = json.dumps(
        {
            "format": _FORMAT,
            "identity": key.identity,
            "fingerprint": fingerprint(key.secret),
            "nonce": nonce.hex(),
        },
        indent=2,
    )
    with replacing(sidecar_path(picture)) as stream:
        stream.write(text.encode() + b"\n")


def read_sidecar(picture: str | os.PathLike) -> bytes | None:
    """The nonce in the sidecar of a picture, None if it has none.

    Raises:
        ValueError: naming the file, if it is no sidecar.
    """
    path = sidecar_path(picture)
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_bytes())
        if fields["format"] != _FORMAT:
            raise KeyError(_FORMAT)
        return bytes.fromhex(fields["nonce"])
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{str(path)!r} is not of the format {_FORMAT}.") from error
