"""The package as a whole: what an import costs, names, and documentation."""

import configparser
import doctest
import importlib
import importlib.metadata
import inspect
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from harness import BACKEND

import keras_imaging

ROOT = pathlib.Path(__file__).parents[1]
# Rooms without another backend's packages; training and export are checked on TensorFlow.
CORE = (
    *("data", "evaluation", "inference", "layers", "losses", "metrics", "models", "operators"),
    *("ops", "solvers", "steps", "watermark"),
)
ROOMS = (*CORE, "training", "export") if BACKEND == "tensorflow" else CORE


def modules_after(*statements, backend=BACKEND):
    """Names of the modules that the last statement adds, in a fresh interpreter."""
    *before, last = statements
    code = "\n".join(
        [*before, "import json, sys", "old = set(sys.modules)", last]
        + ["print('MODULES', json.dumps(sorted(set(sys.modules) - old)))"]
    )
    environment = {**os.environ, "KERAS_BACKEND": backend}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.partition("MODULES")[2])


def test_import_loads_nothing_but_itself():
    assert modules_after("import keras", "import keras_imaging") == ["keras_imaging"]


def test_core_works_without_tensorflow():
    names = ", ".join(f"keras_imaging.{room}" for room in CORE)
    loaded = modules_after("import keras", f"import {names}", backend="jax")
    assert "keras_imaging.models.rdidn" in loaded
    assert not {name.partition(".")[0] for name in loaded} & {"tensorflow", "tf_keras", "torch"}


def test_rooms_load_on_first_use():
    for room in ("cli", *ROOMS):
        assert getattr(keras_imaging, room) is sys.modules[f"keras_imaging.{room}"]
    with pytest.raises(AttributeError, match="no attribute 'kitchen'"):
        _ = keras_imaging.kitchen
    assert set(keras_imaging.__all__) == set(dir(keras_imaging))


def test_version():
    assert importlib.metadata.version("keras-imaging") == keras_imaging.__version__


def test_setup_lists_every_package():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    folders = {"keras_imaging": "keras_imaging"}
    folders |= {folder: f"keras_imaging.{folder}" for folder in ("training", "export")}
    found = [
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for folder, package in folders.items()
        for path in (ROOT / folder).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)


def public_names(rooms):
    for room in rooms:
        module = importlib.import_module(f"keras_imaging.{room}")
        defined_here = [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
        ]
        for name in sorted(getattr(module, "__all__", defined_here)):
            # In capitals stand constants, and some classes.
            if not name.isupper() or isinstance(getattr(module, name), type):
                yield f"{room}.{name}"


def find(name):
    room, _, name = name.partition(".")
    return getattr(getattr(keras_imaging, room), name)


def arguments(thing):
    """Names of the arguments that the documentation must explain."""
    if isinstance(thing, type) and thing.__init__ in (object.__init__, UserWarning.__init__):
        return []
    return [
        name
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]


@pytest.mark.parametrize("name", public_names(ROOMS))
def test_documentation_is_whole(name):
    thing = find(name)
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    if hasattr(thing, "__dataclass_fields__"):
        # Fields that a dataclass inherits are explained where they stand.
        text = "\n".join(inspect.cleandoc(cls.__doc__ or "") for cls in thing.__mro__)
    first = text.split("\n\n")[0]
    assert first.endswith((".", ":")), f"no sentence at the start: {first!r}"
    names = arguments(thing)
    if names and not hasattr(thing, "__dataclass_fields__"):
        assert "\nArgs:\n" in text
    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"not explained: {missing}"
    sections = []
    if isinstance(thing, type) and issubclass(thing, keras.layers.Layer):
        sections += ["Input shape:", "Output shape:", "Raises:", "Example:"]
    if isinstance(thing, type) and issubclass(thing, keras.Model):
        sections += ["Reference:"]
    assert not [section for section in sections if f"\n{section}\n" not in text]


def example(thing):
    """The indented lines below "Example:"."""
    _, _, below = inspect.getdoc(thing).partition("\nExample:\n")
    return "\n".join(itertools.takewhile(lambda line: line.startswith(" "), below.splitlines()))


# Examples of training and export take minutes; what they call has tests of its own.
@pytest.mark.parametrize("name", public_names(CORE))
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = find(name)
    names = {"keras": keras, "keras_imaging": keras_imaging, "np": np}
    names.update(vars(sys.modules[thing.__module__]))
    test = doctest.DocTestParser().get_doctest(example(thing), names, name, None, 0)
    report = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)
