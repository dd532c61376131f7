"""A strict world for every test: seeded, few threads, the seed printed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("strict", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("strict")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=1, help="seed of torch, numpy and random")


def pytest_report_header(config: pytest.Config) -> str:
    threads = torch.get_num_threads()
    return f"seed: {config.getoption('--seed')}, torch {torch.__version__}, threads {threads}"


def pytest_configure(config: pytest.Config) -> None:
    # threads that share a core wait for each other at every operation
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    torch.set_num_threads(2 if alone else 1)
    if not torch.cuda.is_available():  # read when Triton is first imported, by whoever it is
        os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(autouse=True)
def strict_world(request: pytest.FixtureRequest) -> None:
    """Seed every generator and check that a test leaves the default dtype alone."""
    seed = request.config.getoption("--seed")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    assert torch.get_default_dtype() == torch.float32, "an earlier test changed the default dtype"


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads, for what divides its work among them."""
    with threads(2):
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread: two wait for each other longer than a few hundred particles take."""
    with threads(1):
        yield


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def lattices() -> Path:
    """The folder of lattice files of real machines: SC_BRIDGE_LATTICES, or beside the checkout."""
    folder = Path(os.environ.get("SC_BRIDGE_LATTICES", "../shared/lattices"))
    return folder if folder.is_absolute() else ROOT / folder
