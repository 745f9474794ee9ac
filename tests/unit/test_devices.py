"""Devices: found without torch, and only those this process may use."""

import contextlib
import subprocess
import sys

import pytest

from app.errors import SettingsError
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


@pytest.mark.parametrize(("names", "query"), [(["cuda:2"], TWO), (["cpu", "cuda:0"], NONE)])
def test_a_gpu_that_is_not_there_is_refused_by_name(names, query):
    with pytest.raises(SettingsError, match="device_missing") as caught:
        devices.require_gpus(names, query=query)

    assert caught.value.values["device"] == names[-1]


def test_devices_that_are_there_are_accepted():
    devices.require_gpus(["cuda:0", "cuda:1", "cpu:7"], query=TWO)
    devices.require_gpus(["cpu"], query=("no", "such", "program"))


@pytest.mark.parametrize(("version", "is_refused"), [("2.13.0+cpu", True), ("2.13.0", False)])
def test_a_gpu_needs_a_torch_that_can_use_it(monkeypatch, version, is_refused):
    monkeypatch.setattr("importlib.metadata.version", lambda _name: version)
    devices.require_build(["cpu:0"])

    refusal = pytest.raises(SettingsError, match="torch_without_cuda")
    with refusal if is_refused else contextlib.nullcontext():
        devices.require_build(["cpu:0", "cuda:1"])
