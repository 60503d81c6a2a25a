"""The nonce of a stamped picture, in a small file beside it: `photo.png.faceguard.json`.

Two files cannot be renamed at once. So the new sidecar waits under a name of its own, with the
SHA-256 of the picture that it belongs to; once that picture is in place, and not before, it holds.
"""

import hashlib
import json
import os
import pathlib
import secrets

from keras_imaging.watermark.keys import Key, fingerprint

_FORMAT = "keras_imaging.faceguard.sidecar.v1"

# As of a key file: more is no sidecar.
_MAX_BYTES = 1 << 16

# A nonce is to be unique, not secret.
_NONCE_BYTES = 16


def new_nonce() -> bytes:
    """16 random bytes."""
    return secrets.token_bytes(_NONCE_BYTES)


def sidecar_path(picture: str | os.PathLike) -> pathlib.Path:
    """Where the sidecar of a picture lies."""
    picture = pathlib.Path(picture)
    return picture.with_name(f"{picture.name}.faceguard.json")


def propose_sidecar(picture: str | os.PathLike, digest: str, key: Key, nonce: bytes) -> None:
    """Say what the sidecar will be once the picture of this SHA-256 is in place.

    Without a nonce it will have none: that of a picture which is being replaced would mislead.
    """
    if not nonce and not sidecar_path(picture).exists():
        return
    fields = {
        "format": _FORMAT,
        "identity": key.identity,
        "fingerprint": fingerprint(key.secret),
        "nonce": nonce.hex(),
        "picture": digest,
    }
    with open(_proposal_path(picture), "wb") as stream:
        stream.write(json.dumps(fields, indent=2).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def settle_sidecar(picture: str | os.PathLike) -> None:
    """Take what was proposed if its picture is in place; drop it if not."""
    proposal, path = _proposal_path(picture), sidecar_path(picture)
    fields = _proposed(picture)
    if fields is not None and fields["nonce"]:
        os.replace(proposal, path)
        return
    if fields is not None:
        path.unlink(missing_ok=True)
    proposal.unlink(missing_ok=True)


def read_sidecar(picture: str | os.PathLike) -> bytes | None:
    """The nonce in the sidecar of a picture, None if it has none.

    Raises:
        ValueError: naming the file, if it is no sidecar.
    """
    fields = _proposed(picture) or _read(sidecar_path(picture))
    return bytes.fromhex(fields["nonce"]) or None if fields else None


def file_digest(path: str | os.PathLike) -> str | None:
    """SHA-256 of a file in hexadecimal digits, None if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _proposal_path(picture):
    # Found again by the picture's name, but no longer than any other.
    picture = pathlib.Path(picture)
    name = hashlib.sha256(os.fsencode(picture.name)).hexdigest()[:16]
    return picture.with_name(f".{name}.proposed")


def _proposed(picture):
    """The fields of the proposal, if there is one and it holds."""
    try:
        fields = _read(_proposal_path(picture))
    # Torn when its process died, so before its picture was renamed.
    except ValueError:
        return None
    if fields is None or fields.get("picture", "") != file_digest(picture):
        return None
    return fields


def _read(path):
    """The fields of a sidecar, checked; None if there is no such file."""
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as stream:
            fields = json.loads(stream.read(_MAX_BYTES))
        if fields["format"] != _FORMAT:
            raise KeyError(_FORMAT)
        bytes.fromhex(fields["nonce"])
        return fields
    except (ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        raise ValueError(f"{str(path)!r} is not of the format {_FORMAT}.") from error
