"""What to expect from 1 to 256 devices: measured step times of shares of a batch, and a model of communication.

Command: `python -m benchmarks.scaling`; docs/scaling.md has its table. A step over d devices a seed is taken to last

    T(B / d) + 2 (d - 1) / d * parameter bytes / bandwidth + collectives * ceil(log2 d) * latency,

where T is measured here for every share of the batch, and the rest is one ring all-reduce of the gradients and four
small sums a BatchNorm (mean and variance, and two in the backward pass). Seeds exchange nothing; mesh shapes are the
library's.
"""

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import jax
from flax import nnx

from benchmarks.compare import RESULTS
from benchmarks.ours import Ours
from benchmarks.workloads import WORKLOADS, Size
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec
from gift_jax.models.norms import BatchNorm
from gift_jax.runtime import cli, provenance
from gift_jax.runtime.files import write_text
from gift_jax.runtime.sharding import choose_devices

DEVICES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Link(NamedTuple):
    """Bytes a second a device in one direction, and seconds a message."""

    bandwidth: float
    latency: float


# Of the makers' data sheets; latencies are round figures of their order.
LINKS: Mapping[str, Link] = MappingProxyType(
    {
        "nvlink4": Link(450e9, 5e-6),
        "tpu-v4": Link(100e9, 2e-6),
        "infiniband-ndr": Link(50e9, 10e-6),
        "ethernet-25g": Link(3e9, 50e-6),
    }
)


def measure_step(name: str, batch: int, rounds: int) -> float:
    """Seconds of a training step of this many images on this device: the least of rounds, as other work only adds."""
    workload = WORKLOADS[name]
    size = Size(batch, 2 * batch)
    ours = Ours(dataclasses.replace(workload, cpu=size, accelerator=size, whole=False))
    ours.epoch()  # compiles
    seconds = [_timed(ours) / 2 for _ in range(rounds)]
    return min(seconds)


def _timed(ours: Ours) -> float:
    start = time.perf_counter()
    ours.epoch()
    return time.perf_counter() - start


def messages(name: str) -> tuple[int, int]:
    """What a step exchanges. Returns: bytes of gradients, and how many collectives."""
    workload = WORKLOADS[name]
    module = nnx.eval_shape(lambda: ModelSpec(workload.model, workload.classes, workload.side).create(nnx.Rngs(0)))
    norms = sum(isinstance(part, BatchNorm) for _, part in nnx.iter_modules(module))
    return 4 * sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))), 1 + 4 * norms


def step_seconds(compute: float, share: int, gradient_bytes: int, collectives: int, link: Link) -> float:
    """The model above. Args: compute, T(B / share) in seconds; share, devices a batch."""
    ring = 2 * (share - 1) / share * gradient_bytes / link.bandwidth
    return compute + ring + collectives * math.ceil(math.log2(share)) * link.latency


def predict(times: Mapping[int, float], batch: int, seeds: int, traffic: tuple[int, int], link: Link) -> dict[int, Any]:
    """Speed-up of all seeds by number of devices, with the mesh (seed, data) that the library chooses."""
    predictions = {}
    for count in DEVICES:
        devices = [SimpleNamespace(process_index=0, id=index) for index in range(count)]
        rows, share = choose_devices(seeds, batch, devices).shape
        seconds = math.ceil(seeds / rows) * step_seconds(times[share], share, *traffic, link)
        predictions[count] = {"mesh": [rows, share], "speed_up": seeds * times[1] / seconds}
    return predictions


def main(
    workload: str = "resnet18-224", batch: int = 100, seeds: int = 3, link: str = "nvlink4", rounds: int = 5
) -> None:
    """Measure, write benchmarks/results/scaling-WORKLOAD.json and print the table.

    Args:
        workload: of benchmarks/workloads.py.
        batch: images a step.
        seeds: students that are trained.
        link: between devices, of LINKS.
        rounds: epochs of two steps that are timed, for each share of the batch.
    """
    for option, value, known in (("--workload", workload, WORKLOADS), ("--link", link, LINKS)):
        if value not in known:
            raise GiftError(f"{option} {value!r} is unknown; choose one of {', '.join(known)}")
    shares = [share for share in range(1, batch + 1) if batch % share == 0]
    times = {share: measure_step(workload, batch // share, rounds) for share in shares}
    traffic = messages(workload)
    found = predict(times, batch, seeds, traffic, LINKS[link])
    content = {
        "workload": workload, "batch": batch, "seeds": seeds, "link": [link, *LINKS[link]],
        "device": provenance.device(), "versions": provenance.versions(),
        "rounds": rounds, "gradient_bytes": traffic[0], "collectives": traffic[1],
        "step_seconds": {batch // share: seconds for share, seconds in times.items()}, "predictions": found,
    }  # fmt: skip
    write_text(RESULTS / f"scaling-{workload}.json", json.dumps(content, indent=1) + "\n")
    lines = ["| devices | mesh (seed, data) | speed-up | of the devices |", "| ---: | ---: | ---: | ---: |"]
    for count, row in found.items():
        share = 100 * row["speed_up"] / count
        lines.append(f"| {count} | {row['mesh'][0]} by {row['mesh'][1]} | {row['speed_up']:.1f} | {share:.0f} % |")
    print("\n".join(lines))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.scaling")
