"""Strict JAX for every test: no silent dtype or rank promotion, several CPU devices, warnings as errors."""

import os

# Much of the time of these tests is compilation. Processor time of three networks' tests in convert/test_families.py:
# 69 s at LLVM's default level, 51 s at level 1, 65 s at level 0, which compiles faster still and runs more slowly.
os.environ["XLA_FLAGS"] = " ".join(
    ["--xla_backend_optimization_level=1", os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests must not leave files in a user's cache, and their processes, some of which are killed, write none at all.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.devnull
# Every worker of pytest-xdist has a PyTorch of its own: with several threads each they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import ctypes
import gc
import importlib.util
import re
import resource
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from gift_jax.runtime import cli

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# What one worker compiles the others take, and the next run. With a largest size JAX locks the cache, so that nobody
# reads what is half written. An empty GIFT_TEST_CACHE compiles everything anew.
if CACHE := os.environ.get("GIFT_TEST_CACHE", str(Path(__file__).parent.parent / "build" / "test-cache")):
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", CACHE)
    jax.config.update("jax_compilation_cache_max_size", 2**31)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

GOLDEN = Path(__file__).parent / "golden"
LARGEST_WORKER = 2**31  # bytes

# The library runs without PyTorch (Python 3.12 has no small build of it); its conversion does not, nor do these tests.
NEEDS_TORCH = re.compile(
    r"^(?:import|from) (?:(?:torch|fkd_files|label_banks|modules|official_loop|timm_teachers)\b|convert\.(?!__main__))",
    re.MULTILINE,
)
# What `make check` leaves to `make test`: PyTorch, processes, the wheel, documents, and what compiles for minutes.
BESIDES_CHECK = (
    "experiments/test_*",
    "benchmarks/test_compare.py",
    "gift_jax/optim/test_pytorch.py",
    "gift_jax/readers/*_fuzz.py",
    "gift_jax/reports/test_page_browser.py",
    *(f"gift_jax/runtime/test_{name}.py" for name in ("devices", "memory", "sharding", "sharding_hosts")),
    "gift_jax/pixels/resampling/*",
    "gift_jax/training/test_epochs_phases.py",
    *(f"gift_jax/training/test_{name}.py" for name in ("resume", "step", "streaming", "train_whitened")),
    *(f"test_{name}.py" for name in ("docs", "makefile", "readme", "tutorial", "wheel")),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--check", action="store_true", help="what `make check` runs")


class WithoutTorch:
    """A finder of modules for which PyTorch is not installed."""

    @staticmethod
    def find_spec(name: str, path: object, target: object = None) -> None:
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"no {name} in `make check`", name=name)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--check"):
        sys.meta_path.insert(0, WithoutTorch)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    check, place = config.getoption("--check"), collection_path.relative_to(Path(__file__).parent)
    if check and any(place.match(pattern) for pattern in BESIDES_CHECK):
        return True
    if not check and importlib.util.find_spec("torch"):
        return None
    file = collection_path.read_text(encoding="utf-8") if collection_path.suffix == ".py" else ""
    return True if place.parts[:1] == ("convert",) or NEEDS_TORCH.search(file) else None


@pytest.fixture(autouse=True)
def fresh_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as COLUMNS says in this test, not in the one that printed first."""
    monkeypatch.setattr("rich._console", None)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is unpacked, converted, decoded or downloaded is kept for this test only; made where it is needed."""
    place = tmp_path_factory.getbasetemp() / "caches" / uuid.uuid4().hex
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place


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


@pytest.fixture(params=[20, pytest.param(400, marks=pytest.mark.exhaustive)])
def examples(request: pytest.FixtureRequest) -> int:
    """How many damaged files of a kind."""
    return request.param


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
