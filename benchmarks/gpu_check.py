"""What there is to know of a GPU in ten minutes: exactness, speed beside PyTorch, costs, students at once, a profile.

Command: `python -m benchmarks.gpu_check --out DIR`. Parts run in the order of their worth, each in a process of
its own, for as long as there is time. DIR/gpu_check.json is written after each; DIR has what each printed and measured.
"""

import collections
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from benchmarks import compare
from benchmarks.worker import peak_bytes
from benchmarks.workloads import WORKLOADS, Size, Workload, make_pixels
from gift_jax.errors import GiftError
from gift_jax.runtime import cli, provenance
from gift_jax.runtime.files import write_text
from gift_jax.runtime.options import Choices

ROOT = Path(__file__).parents[1]
WORKLOAD = "conv3-32"  # small enough that several students fit side by side
CLASSES, PER_CLASS, TESTS = 1000, 10, 5  # of ImageNet-1K at ten images a class; test images a class
# What the names of kernels and operations tell; the first that fits.
KINDS: Mapping[str, str] = {
    "convolution": "conv|cudnn|fprop|dgrad|wgrad|xmma",
    "product": "gemm|dot|cublas|matmul",
    "reduction": "reduc",
    "copy": "memcpy|copy|transpose",
    "elementwise": "fusion|loop|wrapped|add|multiply|select",
}
PARITY = (
    "tests/gift_jax/test_losses.py", "tests/gift_jax/training/test_step.py", "tests/gift_jax/models",
    "tests/gift_jax/pixels", "tests/convert/test_families.py",
)  # fmt: skip


class Part(NamedTuple):
    """What is run: arguments of Python by (directory, whether in small), and what is added to the environment."""

    arguments: Callable[[Path, bool], list[str]]
    environment: Mapping[str, str] = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def _parity(out: Path, small: bool) -> list[str]:
    del out
    return ["-m", "pytest", "-q", "-n", "4", "-p", "no:cacheprovider", *(PARITY[:1] if small else PARITY)]


def _compared(name: str, workloads: Sequence[str], *options: str) -> Callable[[Path, bool], list[str]]:
    def arguments(out: Path, small: bool) -> list[str]:
        size = ["--workloads", *([WORKLOAD] if small else workloads), "--rounds", "1" if small else "3"]
        return ["-m", "benchmarks.compare", "--at-once", "--name", str(out / name), *size, *options]

    return arguments


def _own(name: str) -> Callable[[Path, bool], list[str]]:
    def arguments(out: Path, small: bool) -> list[str]:
        return ["-m", "benchmarks.gpu_check", "--out", str(out), "--own", name, *(["--small"] if small else [])]

    return arguments


PARTS: Mapping[str, Part] = {
    "parity": Part(_parity, {"JAX_DEFAULT_MATMUL_PRECISION": "highest", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}),
    "speed": Part(_compared("speed", tuple(WORKLOADS))),
    "imagenet": Part(_own("imagenet")),
    "cost": Part(_compared("cost", (WORKLOAD, "resnet18_modified-32"), "--sides", "ours", "ours-softce", "ours-ce")),
    "students": Part(_own("students")),
    "profile": Part(_own("profile")),
}


def imagenet(out: Path, small: bool) -> list[dict[str, Any]]:
    """`imagenet_ipc10` on noise in files of ImageNet's number and size, with random weights; small: one step."""
    import jax
    from PIL import Image

    from benchmarks.ours import random_info
    from gift_jax import DistilledSet, save_distilled, save_teacher
    from gift_jax.models import ModelSpec, get_model

    network, side = ("conv4", 64) if small else ("resnet18", 224)
    model = get_model(ModelSpec(network, CLASSES, side))
    save_teacher(out / "teacher", random_info(model.spec, "imagenet-1k"), *model.init(jax.random.key(0)))
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), PER_CLASS)
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (len(labels), side, side, 3), np.uint8)
    save_distilled(out / "set.safetensors", DistilledSet(images, labels, None, "raw", "imagenet-1k", "rded", PER_CLASS))
    photograph = out / "photograph.JPEG"
    Image.fromarray(noise.integers(0, 256, (375, 500, 3), np.uint8)).save(photograph)
    for label in range(CLASSES):
        folder = out / "val" / f"n{label:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1 if small else TESTS):
            (folder / f"{number}.JPEG").unlink(missing_ok=True)
            os.link(photograph, folder / f"{number}.JPEG")
    options = {"model": network, "distilled": out / "set.safetensors", "teacher": out / "teacher", "data": out / "val"}
    options |= {"epochs": 3, "seeds": 0, "out": out / "imagenet"} | ({"max-steps": 1, "batch-size": 8} if small else {})
    start = time.perf_counter()
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "experiments.imagenet_ipc10", *arguments], check=True)
    return [{"seconds": time.perf_counter() - start}]


def students(out: Path, small: bool) -> list[dict[str, Any]]:
    """Images a second of several students: one after another, by vmap, in threads, and in processes."""
    del out
    rows = []
    for count in (1, 2) if small else (1, 2, 4, 8, 16):
        for way, train in (("vmap", _by_vmap), ("threads", _by_threads), ("processes", _by_processes)):
            rows.append({"students": count, "way": way, "images_per_second": train(count, small)})
            print(rows[-1], flush=True)
    return rows


def _workload(small: bool) -> Workload:
    workload = WORKLOADS[WORKLOAD]
    size = Size(10, 20, 3, 10) if small else Size(100, 10_000, 5, 100)
    return dataclasses.replace(workload, cpu=size, accelerator=size, whole=True)


def _task(small: bool) -> Any:
    from benchmarks.ours import make_task
    from gift_jax.data.evaluation import EvaluationSet

    workload = _workload(small)
    tests = EvaluationSet(*make_pixels(workload, workload.cpu.test_images, 1), workload.dataset)
    return dataclasses.replace(make_task(workload, workload.cpu), test_set=tests)


def _by_vmap(count: int, small: bool) -> float:
    runs = _task(small).train(range(count), seed_driver="vmap")
    return runs[0].images_per_second


def _by_threads(count: int, small: bool) -> float:
    task, size = _task(small), _workload(small).cpu
    task.train((0,))  # compiles
    start = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(lambda seed: task.train((seed,)), range(count)))
    return count * size.images * size.epochs / (time.perf_counter() - start)


def _by_processes(count: int, small: bool) -> float:
    del small
    processes = [compare.start("ours", WORKLOAD) for _ in range(count)]
    described = [compare.answer(process) for process in processes]
    start = time.perf_counter()
    for process in processes:
        print(file=process.stdin, flush=True)
    for process in processes:
        compare.answer(process)
    seconds = time.perf_counter() - start
    for process in processes:
        process.communicate()
    return count * WORKLOADS[WORKLOAD].size(described[0]["platform"]).images / seconds


def profile(out: Path, small: bool) -> list[dict[str, Any]]:
    """Milliseconds of an epoch by kind of operation, and of the most expensive operations."""
    import jax

    from benchmarks.ours import Ours

    rows = []
    for name in (WORKLOAD,) if small else (WORKLOAD, "resnet18_modified-32", "resnet18-224"):
        side = Ours(WORKLOADS[name], precision="float32" if small else "bfloat16")
        side.epoch()
        side.epoch()
        with jax.profiler.trace(str(out / "traces" / name)):
            side.epoch()
        [*_, trace] = sorted((out / "traces" / name).rglob("*.xplane.pb"))
        operations = read_trace(trace, jax.default_backend())
        by_kind: collections.Counter[str] = collections.Counter()
        for operation, milliseconds in operations.items():
            by_kind[kind(operation)] += milliseconds
        rows.append({"workload": name, "kinds": dict(by_kind), "operations": dict(operations.most_common(15))})
    return rows


def read_trace(path: Path, platform: str) -> "collections.Counter[str]":
    """Milliseconds of each operation of the device in a trace, or on the CPU of all threads together."""
    import jax

    planes = [*jax.profiler.ProfileData.from_file(str(path)).planes]
    lines = [line for plane in planes if platform == "cpu" or plane.name.startswith("/device:") for line in plane.lines]
    if platform != "cpu":  # kernels by XLA's names where there are these, else by their own
        named = [line for line in lines if line.name == "XLA Ops"]
        lines = named or [line for line in lines if line.name.startswith("Stream")]
    found: collections.Counter[str] = collections.Counter()
    for event in (event for line in lines for event in line.events):
        if "::" not in event.name:  # what waits for others
            found[event.name] += event.duration_ns / 1e6
    return found


def kind(operation: str) -> str:
    """The kind of an operation by its name."""
    return next((name for name, pattern in KINDS.items() if re.search(pattern, operation.lower())), "other")


OWN = {"imagenet": imagenet, "students": students, "profile": profile}


def _run(name: str, out: Path, small: bool, seconds: float) -> dict[str, Any]:
    """Run a part for so long at most. Returns: its status, and the seconds that it took."""
    part, start = PARTS[name], time.perf_counter()
    with (out / f"{name}.txt").open("w") as file:
        command = [sys.executable, *part.arguments(out, small)]
        options = {"cwd": ROOT, "env": {**os.environ, **part.environment}, "stdout": file, "stderr": subprocess.STDOUT}
        try:
            status = str(subprocess.run(command, timeout=seconds, check=False, **options).returncode)
        except subprocess.TimeoutExpired:
            status = "out of time"
    return {"status": status, "seconds": round(time.perf_counter() - start, 1)}


def main(
    out: Path = Path("runs/gpu_check"),
    minutes: float = 10.0,
    parts: tuple[Annotated[str, Choices("benchmarks.gpu_check:PARTS")], ...] = tuple(PARTS),
    small: bool = False,
    own: str | None = None,
) -> None:
    """Run the parts, and write what they found.

    Args:
        out: directory of everything that is written.
        minutes: after which nothing runs any more.
        parts: which, in this order.
        small: as little of each as shows that it runs.
        own: measure this part in this process; for those that this command starts.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if own:
        rows = OWN[own](out, small)
        found = {"device": provenance.device(), "versions": provenance.versions(), "rows": rows}
        found["peak_bytes"] = peak_bytes()
        write_text(out / f"{own}.json", json.dumps(found, indent=1) + "\n")
        return
    end, results = time.perf_counter() + 60 * minutes, {name: {"status": "not run"} for name in parts}
    for name in parts:
        if (left := end - time.perf_counter()) > 0:
            results[name] = _run(name, out, small, left)
        write_text(out / "gpu_check.json", json.dumps({"small": small, "parts": results}, indent=1) + "\n")
        print(f"{name}: {results[name]['status']}", flush=True)
    if failed := [name for name in parts if results[name]["status"] != "0"]:
        raise GiftError(f"{', '.join(failed)}: not finished; {out}/{failed[0]}.txt has the reason")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.gpu_check")
