"""Keys, and the bits that a key gives a person's pictures."""

import hashlib
import hmac
import json
import os
import pathlib
import secrets
import stat
import unicodedata
from typing import NamedTuple

import numpy as np

from keras_imaging.data.files import replacing

MIN_KEY_BYTES = 16

_CONTEXT = b"keras_imaging.faceguard.v1\0"
_FINGERPRINT_CONTEXT = b"keras_imaging.faceguard.fingerprint.v1\0"
_FORMAT = "keras_imaging.faceguard.key.v1"

# An identity's name is no essay; the limit keeps error lines and files short.
_MAX_IDENTITY_BYTES = 1024


class Key(NamedTuple):
    """A secret and the name of the person whose pictures it marks."""

    secret: bytes
    identity: str

    def __repr__(self) -> str:
        # Secrets do not belong into logs and tracebacks.
        return f"Key(identity={self.identity!r}, fingerprint={fingerprint(self.secret)!r})"


def generate_key(identity: str) -> Key:
    """A new key of 32 random bytes.

    Args:
        identity: the person's name, as `watermark_bits` takes it.

    Raises:
        ValueError: if the identity is empty.
    """
    _identity_bytes(identity)
    return Key(secrets.token_bytes(32), identity)


def watermark_bits(
    key: bytes, identity: str, message_length: int = 64, nonce: bytes = b""
) -> np.ndarray:
    """The bits that a picture of a person is marked with.

    The first `message_length` bits, most significant first, of the blocks i = 0, 1, ... of
    HMAC-SHA256(key, context + len(id) + id + len(nonce) + nonce + message_length + i), lengths and
    numbers in 4 bytes, big-endian; id is the identity in UTF-8 after Unicode normalisation NFC.

    Args:
        key: at least 16 secret bytes.
        identity: the person's name, not empty.
        message_length: number of bits, at least 1.
        nonce: distinguishes the pictures of one person; to be kept beside the picture.

    Returns:
        uint8 `(message_length,)` of zeros and ones.

    Raises:
        ValueError: if the key is no bytes or too short, or the identity is empty.

    Example:
        >>> watermark_bits(bytes(32), "alice", 8)
        array([1, 0, 1, 1, 1, 0, 0, 1], dtype=uint8)
    """
    _check_secret(key)
    if not isinstance(nonce, bytes):
        raise ValueError(f"`nonce` must be bytes. Received: {type(nonce).__name__}")
    if isinstance(message_length, bool) or not isinstance(message_length, int | np.integer):
        raise ValueError(f"`message_length` must be an integer. Received: {message_length!r}")
    if message_length < 1:
        raise ValueError(f"`message_length` must be at least 1. Received: {message_length}")
    length = int(message_length)
    name = _identity_bytes(identity)
    text = _CONTEXT + _be32(len(name)) + name + _be32(len(nonce)) + nonce + _be32(length)
    blocks = (
        hmac.digest(key, text + _be32(block), hashlib.sha256) for block in range(-(-length // 256))
    )
    return np.unpackbits(np.frombuffer(b"".join(blocks), "uint8"))[:length]


def fingerprint(key: bytes) -> str:
    """A short public name of a key, 16 hexadecimal digits, from which it cannot be found.

    Args:
        key: at least 16 bytes.
    """
    _check_secret(key)
    return hmac.digest(key, _FINGERPRINT_CONTEXT, hashlib.sha256).hex()[:16]


def write_key(path: str | os.PathLike, key: Key, overwrite: bool = False) -> None:
    """Write a key file that only its owner may read (permissions 0600).

    The file is JSON: `{"format": "keras_imaging.faceguard.key.v1", "identity": ..., "key": ...}`
    with the secret in hexadecimal digits.

    Args:
        path: file to write.
        key: the key.
        overwrite: replace an existing file. What the old key marked can then no longer be verified,
            unless there is a copy.

    Raises:
        ValueError: if the file exists and `overwrite` is False, or the key is not fit for use.
        OSError: if it cannot be written.
    """
    path = pathlib.Path(path)
    _check_secret(key.secret)
    _identity_bytes(key.identity)
    if path.exists() and not overwrite:
        raise ValueError(f"The key file {str(path)!r} exists; it is not replaced unasked.")
    text = json.dumps(
        {"format": _FORMAT, "identity": key.identity, "key": key.secret.hex()}, indent=2
    )
    with replacing(path, permissions=0o600) as stream:
        stream.write(text.encode() + b"\n")


def read_key(path: str | os.PathLike, force: bool = False) -> Key:
    """Read a key file that `write_key` wrote.

    Args:
        path: the file.
        force: take it even if other users of the machine may read or change it.

    Raises:
        ValueError: naming the file, if it is missing, open to others, or no key file.
    """
    path = pathlib.Path(path)
    try:
        with open(path, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            # Windows has no such bits; there the folder's access list decides.
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO) and not force:
                raise ValueError(
                    f"others may read or change it (permissions {stat.S_IMODE(mode):04o}); "
                    "make it yours alone (chmod 600), or force its use"
                )
            return _parse(stream.read(1 << 16))
    except OSError as error:
        raise ValueError(f"Cannot read the key file {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"Cannot use the key file {str(path)!r}: {error}") from error


def _parse(data):
    try:
        fields = json.loads(data)
        if fields["format"] != _FORMAT:
            raise KeyError
        key = Key(bytes.fromhex(fields["key"]), fields["identity"])
    # The reason is left out: it may quote the secret.
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"it is not of the format {_FORMAT}") from None
    _check_secret(key.secret)
    _identity_bytes(key.identity)
    return key


def _check_secret(key):
    if not isinstance(key, bytes):
        raise ValueError(
            f"`key` must be bytes of at least {MIN_KEY_BYTES}. Received: {type(key).__name__}"
        )
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(
            f"`key` must have at least {MIN_KEY_BYTES} bytes. Received: {len(key)} bytes"
        )


def _identity_bytes(identity):
    if not isinstance(identity, str) or not identity.strip():
        raise ValueError(f"`identity` must be a name that is not empty. Received: {identity!r}")
    try:
        name = unicodedata.normalize("NFC", identity).encode()
    except UnicodeEncodeError:
        raise ValueError(f"`identity` is no Unicode text. Received: {identity!r}") from None
    if len(name) > _MAX_IDENTITY_BYTES:
        raise ValueError(
            f"`identity` must have at most {_MAX_IDENTITY_BYTES} bytes. Received: {len(name)}"
        )
    return name


def _be32(number):
    return number.to_bytes(4, "big")
