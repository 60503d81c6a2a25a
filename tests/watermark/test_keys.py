import json
import os
import pathlib

import numpy as np
import pytest

from keras_imaging.watermark.keys import (
    Key,
    fingerprint,
    generate_key,
    read_key,
    watermark_bits,
    write_key,
)

VECTORS = pathlib.Path(__file__).parents[1] / "goldens" / "faceguard" / "hmac_vectors.json"
SECRET = bytes(range(32))


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()))
def test_vectors(vector):
    key, nonce = bytes.fromhex(vector["key"]), bytes.fromhex(vector["nonce"])
    bits = watermark_bits(key, vector["identity"], vector["n"], nonce)
    assert bits.dtype == np.uint8
    assert "".join(map(str, bits)) == vector["bits"]


def test_everything_matters():
    """Key, identity, length and nonce each change about half of the bits."""
    base = watermark_bits(SECRET, "alice", 1024, b"1")
    for other in (
        watermark_bits(SECRET[::-1], "alice", 1024, b"1"),
        watermark_bits(SECRET, "alicf", 1024, b"1"),
        watermark_bits(SECRET, "alice", 1024, b"2"),
        watermark_bits(SECRET, "alice", 1025, b"1")[:1024],
        # The same bytes, parted otherwise between identity and nonce.
        watermark_bits(SECRET, "alice1", 1024),
    ):
        assert 0.4 < np.mean(base != other) < 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((b"short", "alice"), "at least 16 bytes. Received: 5 bytes"),
        (("a" * 32, "alice"), "must be bytes"),
        ((SECRET, ""), "not empty"),
        ((SECRET, "  "), "not empty"),
        ((SECRET, None), "not empty"),
        ((SECRET, "\udc80"), "no Unicode"),
        ((SECRET, "a" * 2000), "at most 1024"),
        ((SECRET, "alice", 0), "at least 1"),
        ((SECRET, "alice", 1.5), "integer"),
        ((SECRET, "alice", 64, "nonce"), "`nonce` must be bytes"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        watermark_bits(*arguments)


def test_key_files(tmp_path):
    path = tmp_path / "alice.key"
    key = generate_key("Zoë")
    assert len(key.secret) == 32 and generate_key("Zoë") != key
    previous = os.umask(0)
    try:
        write_key(path, key)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert os.listdir(tmp_path) == ["alice.key"]
    with pytest.raises(ValueError, match="exists"):
        write_key(path, generate_key("Bob"))
    assert read_key(path) == key
    write_key(path, generate_key("Bob"), overwrite=True)
    assert read_key(path).identity == "Bob"


def test_full_disk_keeps_the_old_key(tmp_path, monkeypatch):
    path = tmp_path / "alice.key"
    key = generate_key("alice")
    write_key(path, key)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_key(path, generate_key("alice"), overwrite=True)
    assert read_key(path) == key
    assert os.listdir(tmp_path) == ["alice.key"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_files_open_to_others(tmp_path, mode):
    path = tmp_path / "alice.key"
    key = generate_key("alice")
    write_key(path, key)
    path.chmod(mode)
    with pytest.raises(ValueError, match=rf"alice\.key.*{mode:04o}.*chmod 600"):
        read_key(path)
    assert read_key(path, force=True) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"format": "other", "identity": "a", "key": "00" * 32}),
        "[" * 60000,
        json.dumps({"format": "keras_imaging.faceguard.key.v1", "identity": "a", "key": "secret"}),
        json.dumps({"format": "keras_imaging.faceguard.key.v1", "identity": "a", "key": "00"}),
        json.dumps({"format": "keras_imaging.faceguard.key.v1", "identity": "", "key": "00" * 32}),
    ],
)
def test_what_is_no_key_file(tmp_path, text):
    path = tmp_path / "alice.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"alice\.key") as error:
        read_key(path)
    assert "secret" not in str(error.value)


def test_missing_key_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.key.*No such file"):
        read_key(tmp_path / "none.key")


def test_secrets_do_not_show():
    key = Key(SECRET, "alice")
    assert SECRET.hex()[:8] not in repr(key) and str(SECRET) not in repr(key)
    assert fingerprint(SECRET) in repr(key) and len(fingerprint(SECRET)) == 16
    assert fingerprint(SECRET) != fingerprint(SECRET[::-1])
