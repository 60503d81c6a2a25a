"""The `keras-imaging` command."""

from keras_imaging.cli.app import main

__all__ = ["main"]
