"""Time and memory of converting a ResNet-50, after imports, each run in a process of its own.

Command: `python -m benchmarks.conversion`. Memory is the largest amount of private memory above the one
after imports: pages of libraries and of the mapped checkpoint, which the system shares and may drop, are not in it.
"""

import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.worker import status_bytes
from gift_jax.runtime import cli

INTERVAL = 0.01  # s between two looks at the memory


@contextlib.contextmanager
def peak_memory(record: list[int]) -> Iterator[None]:
    """Append the largest amount of private memory inside the block to record."""
    stop, peak = threading.Event(), [status_bytes("RssAnon")]

    def watch() -> None:
        while not stop.wait(INTERVAL):
            peak[0] = max(peak[0], status_bytes("RssAnon"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        record.append(peak[0])


def convert_once(source: Path) -> dict[str, float]:
    """Convert in this process. Returns: seconds, and megabytes above those after imports."""
    from convert.__main__ import return_freed_memory

    return_freed_memory()
    import jax

    from convert.teacher import convert_teacher
    from convert.vision import load_torchvision_models

    load_torchvision_models()
    jax.block_until_ready(jax.numpy.zeros(1))
    before, peaks, start = status_bytes("RssAnon"), [], time.perf_counter()
    with peak_memory(peaks), contextlib.redirect_stdout(io.StringIO()):
        convert_teacher(source, dataset="imagenet-1k", model="resnet50", out=source.with_suffix(""))
    return {"seconds": time.perf_counter() - start, "megabytes": (peaks[0] - before) / 1e6}


def main(runs: int = 5, source: Path | None = None) -> None:
    """Measure and print medians.

    Args:
        runs: how many conversions, one process each.
        source: convert this checkpoint once and print one line; for the processes that this command starts.
    """
    if source:
        print(json.dumps(convert_once(source)))
        return
    import torch

    from convert.families import find_family
    from gift_jax.models import ModelSpec

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "resnet50.pth"
        torch.save(find_family("resnet50").reference(ModelSpec("resnet50", 1000, 224)).state_dict(), path)
        size = path.stat().st_size / 1e6
        command = [sys.executable, "-m", "benchmarks.conversion", "--source", str(path)]
        results = [json.loads(subprocess.check_output(command)) for _ in range(runs)]
    for name in ("seconds", "megabytes"):
        values = sorted(result[name] for result in results)
        print(f"{name}: median {statistics.median(values):.1f}, {values[0]:.1f} to {values[-1]:.1f}, n = {runs}")
    largest = max(result["megabytes"] for result in results)
    print(f"checkpoint {size:.1f} MB; largest memory {largest / size:.2f} times that")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.conversion")
