"""All of it runs on TensorFlow only."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import small


def pytest_collection_modifyitems(items):
    for item in items:
        if "/export/" in item.nodeid:
            item.add_marker("tensorflow")


@pytest.fixture(scope="session")
def model():
    return small.tiny()
