"""Shared fixtures."""

from __future__ import annotations

import os

import pytest

from command import data as data
from command import table as table
from pages import browser as browser


@pytest.fixture
def in_ci() -> bool:
    """In CI a skipped test of something that CI installs is a failure."""
    return bool(os.environ.get("CI"))
