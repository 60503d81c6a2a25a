"""`keras-imaging watermark keygen`: make a key for a person."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.output import check_outputs, print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.watermark.inputs import KEY_FILE


def make_key(
    identity: Annotated[str, typer.Argument(help="The person whose pictures will be stamped.")],
    out: Annotated[pathlib.Path, typer.Option(help="Key file to write.")] = KEY_FILE,
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
