"""One side of one workload in a process of its own: a round for every line it reads, a JSON line for each.

Started by `benchmarks.compare`; frameworks that share a process share threads and memory badly.
"""

import importlib
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS, Workload

PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch")
CHANGED = ("kernels", "loop", "few-channels", "winograd", "blocks", "norms", "max-pool", "huge-pages", "parts")
# Side -> (module, class, further arguments).
SIDES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "ours": ("benchmarks.ours", "Ours", ()),
    "ours-bfloat16": ("benchmarks.ours", "Ours", ("gift", "bfloat16")),
    "ours-softce": ("benchmarks.ours", "Ours", ("softce",)),
    "ours-ce": ("benchmarks.ours", "Ours", ("ce",)),
    "official": ("benchmarks.official", "Official", ()),
    "strongest": ("benchmarks.strongest", "Strongest", ()),
    "strongest-bfloat16": ("benchmarks.strongest", "Strongest", ("bfloat16",)),
    "strongest-huge": ("benchmarks.strongest", "Strongest", ()),
    **{f"without-{name}": ("benchmarks.changes", "without", (name,)) for name in CHANGED},
}


def make_side(name: str, workload: Workload) -> Any:
    """Build a side, which imports its framework."""
    module, attribute, arguments = SIDES[name]
    return getattr(importlib.import_module(module), attribute)(workload, *arguments)


def _platform() -> tuple[str, str]:
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        return ("gpu", torch.cuda.get_device_name(0)) if torch.cuda.is_available() else ("cpu", find_processor())
    import jax

    device = jax.devices()[0]
    return (device.platform, device.device_kind) if device.platform != "cpu" else ("cpu", find_processor())


def find_processor() -> str:
    """The kind of processor, and how many cores this machine has."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores"


def peak_bytes() -> int:
    """Largest memory so far: of the accelerator's, if there is one, else the resident set."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.max_memory_allocated()
    if "jax" in sys.modules and (stats := sys.modules["jax"].devices()[0].memory_stats()):
        return stats["peak_bytes_in_use"]
    return status_bytes("VmHWM")


def status_bytes(field: str) -> int:
    """What the system says of this process's memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def timed(function: Callable[[], Any]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process, with threads and memory of its own. Returns: what it returns."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def median_milliseconds(function: Callable[[], Any], rounds: int = 15) -> float:
    """Of a call, after one that compiles."""
    return 1000 * statistics.median([timed(function) for _ in range(1 + rounds)][1:])


def main(side_name: str, workload_name: str) -> None:
    """Prepare and warm up, say so, then run a round for every line of standard input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # frameworks print too

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    workload = WORKLOADS[workload_name]
    start = time.perf_counter()
    side = make_side(side_name, workload)
    run = side.whole if workload.whole else side.epoch
    for _ in range(1 if workload.whole else 2):  # the second, for what is compiled or cached then
        run()
    seconds = time.perf_counter() - start
    platform, device = _platform()
    versions = {name: sys.modules[name].__version__ for name in PACKAGES if name in sys.modules}
    answer(warm_up_seconds=seconds, platform=platform, device=device, versions=versions, settings=side.describe())
    for _ in sys.stdin:
        answer(seconds=timed(run), peak_bytes=peak_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
