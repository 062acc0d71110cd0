"""The line about the device, and the warning about one that JAX cannot use."""

from types import SimpleNamespace

import jax
import pytest

from gift_jax.runtime import devices

HEADER = "| NVIDIA-SMI 580.95.05    Driver Version: 580.95.05    CUDA Version: {}  |"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Puts first on PATH a nvidia-smi that prints a CUDA version, or does what it is told."""
    platforms = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(version="12.8", body=None):
        body = body or f'echo "{HEADER.format(version)}"'
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    put()
    yield put
    jax.config.update("jax_platforms", platforms)


@pytest.mark.parametrize(
    ("count", "kind", "platform", "client", "cores", "text"),
    [
        (1, "NVIDIA H100 80GB HBM3", "gpu", "cuda", 2, "1 x NVIDIA H100 80GB HBM3 (cuda)"),
        (8, "TPU v4", "tpu", "tpu", 2, "8 x TPU v4 (tpu)"),
        (1, "cpu", "cpu", "cpu", 2, "CPU x86_64, 2 cores"),
        (8, "cpu", "cpu", "cpu", 1, "8 x CPU x86_64, 1 core"),
    ],
)
def test_a_device_is_named_with_its_platform_and_a_cpu_with_its_cores(
    monkeypatch, count, kind, platform, client, cores, text
):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {*range(cores)}, raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    device = SimpleNamespace(device_kind=kind, platform=platform, client=SimpleNamespace(platform=client))
    monkeypatch.setattr(jax, "local_devices", lambda: [device] * count)
    assert devices.describe() == text


@pytest.mark.parametrize(("version", "extra"), [("12.8", "cuda12"), ("13.0", "cuda13"), ("14.1", "cuda13")])
def test_a_gpu_that_jax_cannot_use_is_said_with_its_mend(smi, capsys, version, extra):
    smi(version)
    devices.announce()
    output = capsys.readouterr()
    assert output.out.startswith("device: ")
    assert len(output.out.splitlines()) == len(output.err.splitlines()) == 1
    assert output.err.startswith("warning: an NVIDIA GPU is here, but JAX runs on the CPU")
    assert f"pip install 'gift-jax[{extra}]'" in output.err
    assert f"make demo ACCELERATOR={extra}" in output.err


def test_an_installed_build_is_not_asked_for_again(smi, monkeypatch):
    monkeypatch.setattr(devices, "installed", lambda extra: extra == "cuda12")
    warning = devices.unused_accelerator()
    assert "although its cuda12 build is installed" in warning
    assert "pip" not in warning


def test_no_warning_where_the_user_chose_the_cpu_or_jax_uses_the_device(smi, monkeypatch):
    jax.config.update("jax_platforms", "cpu")
    assert devices.unused_accelerator() is None
    jax.config.update("jax_platforms", "cuda,cpu")
    assert devices.unused_accelerator()
    with monkeypatch.context() as hidden:
        hidden.setenv("CUDA_VISIBLE_DEVICES", "")
        assert devices.unused_accelerator() is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert devices.unused_accelerator() is None


@pytest.mark.parametrize("body", ["exit 9", "echo 'No devices were found'", "sleep 5", "echo; kill -9 $$"])
def test_a_nvidia_smi_without_a_gpu_is_no_gpu(smi, monkeypatch, tmp_path, body):
    monkeypatch.setattr(devices, "_PATIENCE", 0.2)
    smi(body=body)
    assert devices._cuda_extra(tmp_path) is None


def test_device_files_tell_too(smi, tmp_path):
    smi(body="exit 9")
    assert devices._cuda_extra(tmp_path) is None
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert devices._cuda_extra(tmp_path) == "cuda12"
    (tmp_path / "dev" / "accel").mkdir()  # the kernel's own accelerators
    assert not devices._has_tpu(tmp_path)
    (tmp_path / "dev" / "accel0").touch()
    assert devices._has_tpu(tmp_path)


@pytest.mark.parametrize(("number", "expected"), [("0x0063", True), ("0x0042", False)])
def test_a_tpu_on_the_bus_is_told_from_a_network_card(tmp_path, number, expected):
    folder = tmp_path / "sys" / "bus" / "pci" / "devices" / "0000:00:05.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0x1ae0\n")
    (folder / "device").write_text(f"{number}\n")
    assert devices._has_tpu(tmp_path) is expected


def test_nothing_is_raised_whatever_jax_does(monkeypatch, capsys):
    def broken():
        raise RuntimeError("Unable to initialize backend 'nowhere'")

    monkeypatch.setattr(jax, "local_devices", broken)
    devices.announce()
    assert capsys.readouterr() == ("", "")
