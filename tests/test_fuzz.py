"""Damaged files of every format, always the same ones; `python -m tests.fuzz` makes others."""

import fuzz
import pytest

pytestmark = pytest.mark.tensorflow


def test_of_damaged_files_nothing_comes_but_value_errors(tmp_path, monkeypatch):
    # How long it takes depends on what else runs here.
    monkeypatch.setattr(fuzz, "MOST_SECONDS", float("inf"))
    found = list(fuzz.faults(200, 0, tmp_path))
    assert not found, "\n\n".join(f"{name}:\n{wrong}" for name, wrong, _ in found[:5])
