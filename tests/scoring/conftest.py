"""The command line, in this process."""

from __future__ import annotations

import pytest

from ..helpers import Command, command_line


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    return command_line(capfd)
