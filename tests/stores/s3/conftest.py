"""What AWS's own tools find, for a test."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """An environment in which they find nothing."""
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(place / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place / "credentials"))
    monkeypatch.setenv("BOTO_CONFIG", str(place / "boto"))
