"""Time and memory of converting a ResNet-50, after imports, each run in a process of its own.

Command: `python -m benchmarks.conversion`. Memory is the largest amount of private memory above the one
after imports: pages of libraries and of the mapped checkpoint, which the system shares and may drop, are not in it.
"""

import contextlib
import io
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.worker import in_own_process, status_bytes, timed
from gift_jax.runtime import cli

INTERVAL = 0.01  # s between two looks at the memory


def convert_once(source: Path) -> dict[str, float]:
    """Convert in this process. Returns: seconds, and megabytes above those after imports."""
    from convert.__main__ import return_freed_memory

    return_freed_memory()
    import jax

    from convert.request import TeacherRequest
    from convert.teacher import convert_teacher
    from convert.vision import load_torchvision_models

    load_torchvision_models()
    jax.block_until_ready(jax.numpy.zeros(1))
    peak = before = status_bytes("RssAnon")

    def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, status_bytes("RssAnon"))
            time.sleep(INTERVAL)

    threading.Thread(target=watch, daemon=True).start()
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = timed(
            lambda: convert_teacher(TeacherRequest(source, source.with_suffix(""), "imagenet-1k", "resnet50"))
        )
    return {"seconds": seconds, "megabytes": (peak - before) / 1e6}


def main(runs: int = 5) -> None:
    """Measure and print medians.

    Args:
        runs: how many conversions, one process each.
    """
    import torch

    from convert.families import find_family
    from gift_jax.models import ModelSpec

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "resnet50.pth"
        torch.save(find_family("resnet50").reference(ModelSpec("resnet50", 1000, 224)).state_dict(), path)
        size = path.stat().st_size / 1e6
        results = [in_own_process(convert_once, path) for _ in range(runs)]
    for name in ("seconds", "megabytes"):
        values = sorted(result[name] for result in results)
        print(f"{name}: median {statistics.median(values):.1f}, {values[0]:.1f} to {values[-1]:.1f}, n = {runs}")
    largest = max(result["megabytes"] for result in results)
    print(f"checkpoint {size:.1f} MB; largest memory {largest / size:.2f} times that")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.conversion")
