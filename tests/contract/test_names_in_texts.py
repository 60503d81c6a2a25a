"""Functions and classes that docstrings and documents name are there."""

import functools
import importlib
import inspect
import pathlib
import re

import keras
import pytest

import keras_imaging

PACKAGE = pathlib.Path(keras_imaging.__file__).parent
ROOT = PACKAGE.parent
# `ops` is Keras' or ours; both may be meant.
ROOMS = {name: f"keras_imaging.{name}" for name in keras_imaging.__all__ if name[0] != "_"}
DOTTED = re.compile(rf"`((?:keras_imaging\.)?(?:{'|'.join(ROOMS)})(?:\.\w+)+)")
FILES = sorted(
    path
    for folder in ("keras_imaging", "training", "export", "docs")
    for path in (ROOT / folder).rglob("*.*")
    if path.suffix in (".py", ".md")
)


@functools.cache
def exists(name):
    parts = name.removeprefix("keras_imaging.").split(".")
    places = [importlib.import_module(ROOMS[parts[0]])]
    if parts[0] == "ops":
        places.append(keras.ops)
    elif hasattr(keras, parts[0]):
        places.append(getattr(keras, parts[0]))
    return any(found(place, parts[1:]) for place in places)


def found(place, parts):
    for part in parts:
        if inspect.ismodule(place) and not hasattr(place, part):
            try:
                importlib.import_module(f"{place.__name__}.{part}")
            except ImportError:
                return False
        if not hasattr(place, part):
            # What an instance has, its class need not.
            return inspect.isclass(place)
        place = getattr(place, part)
    return True


def test_the_search_finds_names_and_misses():
    assert DOTTED.findall("`ops.imresize`, `keras_imaging.data.luma(x)`") == [
        "ops.imresize",
        "keras_imaging.data.luma",
    ]
    assert exists("ops.imresize") and exists("keras_imaging.data.luma")
    assert not exists("ops.no_such_function")


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="only in a checkout")
def test_names_in_backticks_are_there():
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in FILES
        for name in DOTTED.findall(path.read_text(encoding="utf-8"))
        if not exists(name)
    }
    assert not missing
