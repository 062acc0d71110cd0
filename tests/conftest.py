"""Strict JAX for every test: no silent dtype or rank promotion, several CPU devices, warnings as errors."""

import os

# Much of the time of these tests is compilation. Processor time of three networks' tests in convert/test_families.py:
# 69 s at LLVM's default level, 51 s at level 1, 65 s at level 0, which compiles faster still and runs more slowly.
os.environ["XLA_FLAGS"] = " ".join(
    ["--xla_backend_optimization_level=1", os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Workers would read what others are half way through writing, and tests must not leave files in a user's cache.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
# Every worker of pytest-xdist has a PyTorch of its own: with several threads each they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import ctypes
import gc
import importlib.util
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from gift_jax.runtime import cli

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

GOLDEN = Path(__file__).parent / "golden"
LARGEST_WORKER = 2**31  # bytes

# The library runs without PyTorch (Python 3.12 has no small build of it); its conversion does not.
WITH_TORCH = [
    "convert/*",
    *(f"experiments/test_{name}.py" for name in ("evaluate", "evaluate_parity", "imagenet_ipc10", "train_teacher")),
    "gift_jax/test_crops_resized.py",
    "gift_jax/data/test_zca_kornia.py",
    "test_fuzz.py",
]
collect_ignore_glob = [] if importlib.util.find_spec("torch") else WITH_TORCH


@pytest.fixture(autouse=True)
def fresh_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as COLUMNS says in this test, not in the one that printed first."""
    monkeypatch.setattr("rich._console", None)


@pytest.fixture(autouse=True)
def memory_given_back() -> Iterator[None]:
    """After a long test, for that one has compiled much: glibc keeps what the compiler frees, gigabytes a worker.

    Where that does not help, what was compiled goes, too: the next tests of a module need it rarely.
    """
    start = time.monotonic()
    yield
    if time.monotonic() - start > 5:
        with contextlib.suppress(OSError, AttributeError):  # where the C library or the system is another one
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            if int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() > LARGEST_WORKER:
                jax.clear_caches()
                gc.collect()
                ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.fixture
def golden() -> Path:
    return GOLDEN


@pytest.fixture
def devices():
    """The first so many devices. A machine with fewer, such as one GPU, leaves the test out."""

    def first(count):
        if count > jax.device_count():
            pytest.skip(f"needs {count} devices")
        return jax.devices()[:count]

    return first


@pytest.fixture
def full_disk():
    """A context in which no file grows beyond so many bytes: to this process, a disk that is full."""

    @contextlib.contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(20250)


@pytest.fixture
def command_line(monkeypatch, capfd):
    """Run a command, or one of several, with arguments. Returns (exit status, standard output, standard error)."""

    def run(command, program, *arguments):
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.run(command, program=program)
        output = capfd.readouterr()
        return stopped.value.code or 0, output.out, output.err

    return run
