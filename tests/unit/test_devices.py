"""Devices: found without torch, and only those this process may use."""

import subprocess
import sys

import pytest

from app.inference import devices

TWO = ("printf", "0, GPU-aaaa\n1, GPU-bbbb\n")
NONE = ("false",)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ("cuda:0", "cuda:1")),
        ("1", ("cuda:0",)),
        ("1,0", ("cuda:0", "cuda:1")),
        ("GPU-bb", ("cuda:0",)),
        ("0,7,1", ("cuda:0",)),
        ("MIG-1234", ("cuda:0",)),
        ("", ("cpu",)),
        ("-1", ("cpu",)),
    ],
)
def test_auto_means_every_gpu_that_is_visible_else_the_cpu(visible, expected):
    assert devices.resolve(("auto",), visible=visible, query=TWO) == expected


@pytest.mark.parametrize("query", [NONE, ("/no/such/program",)])
def test_without_a_driver_auto_means_the_cpu(query):
    assert devices.resolve(("auto",), query=query) == ("cpu",)


def test_named_devices_stay_as_they_are():
    assert devices.resolve(("cuda:3", "cpu"), query=NONE) == ("cuda:3", "cpu")


@pytest.mark.parametrize(
    ("names", "workers", "expected"),
    [
        (("cpu",), 1, ("cpu:0",)),
        (("cpu",), 3, ("cpu:0", "cpu:1", "cpu:2")),
        (("cuda:0", "cuda:1"), 3, ("cuda:0", "cuda:1")),
        (("cuda:0", "cpu"), 2, ("cuda:0", "cpu:0", "cpu:1")),
    ],
)
def test_each_worker_gets_a_slot(names, workers, expected):
    assert devices.name_slots(names, workers) == expected


def test_neither_devices_nor_the_fake_engine_import_torch():
    code = "import sys; from app.inference import backends, devices, fake; assert 'torch' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
