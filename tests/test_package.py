"""The package as a whole: what an import costs, names, and documentation."""

import configparser
import doctest
import importlib
import importlib.metadata
import inspect
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from harness import BACKEND

import keras_imaging

ROOT = pathlib.Path(__file__).parents[1]
# Rooms without another backend's packages; training and export are checked on TensorFlow.
CORE = ("data", "evaluation", "inference", "layers", "metrics", "models", "ops")
ROOMS = (*CORE, "training", "export") if BACKEND == "tensorflow" else CORE


def modules_after(*statements):
    """Names of the modules that the last statement adds, in a fresh interpreter."""
    *before, last = statements
    code = "\n".join(
        [*before, "import json, sys", "old = set(sys.modules)", last]
        + ["print('MODULES', json.dumps(sorted(set(sys.modules) - old)))"]
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.partition("MODULES")[2])


def test_import_loads_nothing_but_itself():
    assert modules_after("import keras", "import keras_imaging") == ["keras_imaging"]


def test_core_loads_no_other_backend():
    names = ", ".join(f"keras_imaging.{room}" for room in CORE)
    added = {name.partition(".")[0] for name in modules_after("import keras", f"import {names}")}
    assert "keras_imaging" in added
    assert not added & {"jax", "tensorflow", "tf_keras", "torch"}


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
    found = {
        ".".join(("keras_imaging", *path.parent.relative_to(base).parts))
        if base.name == "keras_imaging"
        else ".".join(("keras_imaging", base.name, *path.parent.relative_to(base).parts))
        for base in (ROOT / "keras_imaging", ROOT / "training", ROOT / "export")
        for path in base.rglob("__init__.py")
    }
    assert sorted(listed) == sorted(found)


def public_names():
    for room in ROOMS:
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


@pytest.fixture(params=public_names())
def thing(request):
    room, name = request.param.split(".")
    return getattr(getattr(keras_imaging, room), name)


def arguments(thing):
    """Names of the arguments that the documentation must explain."""
    if isinstance(thing, type) and thing.__init__ is object.__init__:
        return []
    return [
        name
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]


def test_documentation_is_whole(thing):
    text = inspect.getdoc(thing)
    assert text, "no docstring"
    first = text.split("\n\n")[0]
    assert first.endswith((".", ":")), f"no sentence at the start: {first!r}"
    names = arguments(thing)
    if names and not hasattr(thing, "__dataclass_fields__"):
        assert "\nArgs:\n" in text
    missing = [name for name in names if name not in text]
    assert not missing, f"not explained: {missing}"
    sections = []
    if isinstance(thing, type) and issubclass(thing, keras.layers.Layer):
        sections += ["Input shape:", "Output shape:", "Raises:", "Example:"]
    if isinstance(thing, type) and issubclass(thing, keras.Model):
        sections += ["Reference:"]
    assert not [section for section in sections if f"\n{section}\n" not in text]


def test_examples_run(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"keras": keras, "keras_imaging": keras_imaging, "np": np}
    for room in ROOMS:
        names.update(vars(getattr(keras_imaging, room)))
    text = inspect.getdoc(thing)
    test = doctest.DocTestParser().get_doctest(text, names, thing.__name__, None, 0)
    report = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)
