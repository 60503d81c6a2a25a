"""The command `keras-imaging`: its subcommands, and what becomes of errors.

Exit codes: 0 done; 1 the answer is no, or some files were skipped; 2 an error, told in one line
(with its traceback under PYTHONDEVMODE=1); 130 interrupted.
"""

import sys
import traceback
import warnings
from typing import Annotated

import typer

import keras_imaging
from keras_imaging.cli.analyze import analyze
from keras_imaging.cli.classify import classify
from keras_imaging.cli.convert import convert
from keras_imaging.cli.denoise import denoise
from keras_imaging.cli.evaluate import evaluate
from keras_imaging.cli.export import export
from keras_imaging.cli.features import features
from keras_imaging.cli.inpaint import inpaint
from keras_imaging.cli.modes import modes
from keras_imaging.cli.reconstruct import reconstruct
from keras_imaging.cli.recover import recover
from keras_imaging.cli.restore import restore
from keras_imaging.cli.segment import segment
from keras_imaging.cli.sense import sense
from keras_imaging.cli.serve import serve
from keras_imaging.cli.ship import ship
from keras_imaging.cli.token_labels import token_labels
from keras_imaging.cli.train import train
from keras_imaging.cli.upscale import upscale
from keras_imaging.cli.watermark import watermark
from keras_imaging.cli.weights import weights

app = typer.Typer(
    help="Imaging networks in Keras: enlarge pictures, fill their holes, score, train and export.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keras-imaging {keras_imaging.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(upscale)
app.command()(inpaint)
app.command()(denoise)
app.command()(restore)
app.command()(recover)
app.command()(sense)
app.command()(classify)
app.command()(features)
app.command()(segment)
app.command("token-labels")(token_labels)
app.command()(convert)
app.command()(reconstruct)
app.command()(analyze)
app.add_typer(evaluate, name="evaluate")
app.add_typer(train, name="train")
app.command()(export)
app.command()(serve)
app.add_typer(watermark, name="watermark")
app.command()(weights)
app.command(hidden=True)(ship)
app.command(hidden=True)(modes)


def _show_warning(message, *_) -> None:
    """In one line, without the place in the code that means nothing to the user."""
    typer.echo(f"warning: {' '.join(str(message).split())}", err=True)


def main() -> None:
    """Run the command line; errors are one line on stderr."""
    warnings.showwarning = _show_warning
    # Keras' warnings speak to programmers.
    warnings.filterwarnings("ignore", module=r"keras\.")
    try:
        sys.exit(app(prog_name="keras-imaging", standalone_mode=False) or 0)
    # All: Python's own exit code of an exception is 1, which says "no" here.
    except Exception as error:
        if sys.flags.dev_mode:
            traceback.print_exc()
        typer.echo(f"error: {_reason(error)}", err=True)
        sys.exit(2)


def _reason(error):
    """One line: some messages, Keras' above all, go over many."""
    if hasattr(error, "format_message"):
        # Of Typer: an option that does not exist, or a value that is none of those there are.
        where = f"; see `{error.ctx.command_path} --help`" if getattr(error, "ctx", None) else ""
        return f"{' '.join(error.format_message().split()).rstrip('.')}{where}"
    reason = " ".join(str(error).split())
    if not isinstance(error, ValueError | OSError | FloatingPointError):
        reason = f"{type(error).__name__}: {reason}".removesuffix(": ")
    return reason
