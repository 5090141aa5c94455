"""What the worker's Python can compute on, asked of a real worker."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ObserverUncertaintySlicer import devices, host
from ObserverUncertaintySlicer.backgroundJobs import knownJobs
from ObserverUncertaintySlicer.devices import Device, DeviceReport, knownDevices, probeDevices, runsOnProcessor


@pytest.fixture(autouse=True)
def nothingKnown(tmp_path, monkeypatch):
    monkeypatch.setenv(host.JOBS_VARIABLE, str(tmp_path / "jobs"))
    devices.forgetDevices()
    yield
    devices.forgetDevices()


def test_a_worker_tells_its_processor_memory_and_packages(monkeypatch):
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)
    assert knownDevices() is None
    job = probeDevices()
    report = job.result()
    assert report.devices[0].name == "cpu"
    assert 500 < report.devices[0].freeMib <= report.devices[0].memoryMib
    assert Path(report.executable) == Path(sys.executable)
    assert {"torch", "safetensors"} <= {lack.name for lack in report.lacking}
    assert report.torch is None
    assert not report.hasGpu


def test_the_answer_is_kept_for_this_python_and_leaves_no_job_behind(monkeypatch):
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)
    job = probeDevices()
    report = job.result()
    assert knownDevices() is report
    assert not job.job.folder.exists()
    assert knownJobs() == []
    monkeypatch.setenv(host.PYTHON_VARIABLE, "/another/python")
    assert knownDevices() is None
    devices.forgetDevices()
    monkeypatch.delenv(host.PYTHON_VARIABLE)
    assert knownDevices() is None


def test_a_python_with_torch_tells_its_version(workerPython):
    report = probeDevices().result()
    assert report.lacking == ()
    assert report.problems == ()
    assert report.torch.startswith("2.")
    assert Path(report.executable) == workerPython


def test_devices_are_listed_with_their_memory():
    assert Device("cuda:0", "NVIDIA RTX A5000", 24564, 20480).text == "cuda:0 — NVIDIA RTX A5000, 24 GB (20 GB free)"
    assert Device("mps", "Apple GPU", 16384).text == "mps — Apple GPU, 16 GB"
    assert Device("cpu", "x86_64").text == "cpu — x86_64"


@pytest.mark.parametrize(
    ("device", "names", "expected"),
    [
        ("auto", ["cpu"], True),
        ("auto", ["cpu", "cuda:0"], False),
        ("cpu", ["cpu", "cuda:0"], True),
        ("cuda:0", ["cpu", "cuda:0"], False),
    ],
)
def test_what_computes_on_the_processor(device, names, expected):
    report = DeviceReport(tuple(Device(name, "") for name in names), "2.13", (), (), "3.12", "python")
    assert runsOnProcessor(device, report) is expected
