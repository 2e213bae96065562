"""A study that asks for labels, and a CVAT to label in."""

import sys
from pathlib import Path

import pytest
from answering import TOKEN, answering

from boxwise.cvat.client import Client
from boxwise.cvat.memory import MEMORY

sys.path.insert(0, str(Path(__file__).parents[1] / "labelstudio"))
from labelstudio_scenario import made_study


@pytest.fixture
def study(tmp_path):
    made = made_study(tmp_path)
    made.remember(MEMORY, {"key": "0123456789abcdef", "tasks": {}, "pulled": {}})
    return made


@pytest.fixture
def server():
    with answering() as (url, cvat):
        yield url, cvat


@pytest.fixture
def client(server):
    with Client(server[0], TOKEN) as client:
        yield client
