"""Loading gives an engine the threads that suit its model."""

import subprocess
import sys
from pathlib import Path

import pytest

from app import settings
from app.errors import SettingsError
from app.workers import loading

ROOT = Path(__file__).parents[2]
PROGRAM = """
from app import settings
from app.workers import loading
loading.load(settings.load().models[0], "cpu")
import torch
print(torch.get_num_threads())
"""


def test_the_tiny_shipped_model_runs_on_one_thread_whatever_the_machine_offers() -> None:
    environ = settings.child_environ(OMP_NUM_THREADS="2", AUTOGLM_CONFIG=str(ROOT / "config.yaml"))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "1"


def test_an_unknown_model_is_refused_with_the_known_names() -> None:
    options = settings.Settings(models=(settings.Model("small", backend="fake"),))

    with pytest.raises(SettingsError) as caught:
        loading.find(options, "large")

    assert caught.value.code == "model_unknown"
    assert caught.value.values["known"] == "small"
