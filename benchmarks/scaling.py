"""What to expect from 1 to 256 devices: measured step times of shares of a batch, and a model of communication.

Command: `python -m benchmarks.scaling`; docs/scaling.md has the model and the table. Bytes and exchanges are those of
the step that XLA compiles for eight devices: gradients, and four small sums a BatchNorm. Seeds exchange nothing.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.accelerators import TargetName
from benchmarks.compare import RESULTS, WorkloadName, record
from benchmarks.ours import Ours
from benchmarks.targets import TARGETS
from benchmarks.worker import timed
from benchmarks.workloads import WORKLOADS, Size
from gift_jax.errors import GiftError
from gift_jax.reports.page import Table
from gift_jax.runtime import cli, provenance
from gift_jax.runtime.files import read_json_object
from gift_jax.runtime.sharding import choose_devices

DEVICES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LATENCY = 5e-6  # seconds a message, of the order that makers state


def measure_step(name: str, batch: int, rounds: int) -> float:
    """Seconds of a training step of this many images on this device: the least of rounds, as other work only adds."""
    workload = WORKLOADS[name]
    size = Size(batch, 2 * batch)
    ours = Ours(dataclasses.replace(workload, cpu=size, accelerator=size, whole=False))
    ours.epoch()  # compiles
    return min(timed(ours.epoch) / 2 for _ in range(rounds))


def messages(name: str, target: str, compiled: Path) -> tuple[float, int]:
    """Bytes, nearly all of gradients, and exchanges of a step over eight devices. Raises: GiftError if not compiled."""
    rows = read_json_object(compiled)["rows"] if compiled.is_file() else []
    wanted = (target, name, "data-8")
    for row in rows:
        if (row["target"], row["workload"], row["program"]) == wanted:
            return sum(one["bytes"] for one in row["collectives"]), len(row["collectives"])
    raise GiftError(
        f"{compiled}: has no step of {name} over 8 devices; run "
        f"`python -m benchmarks.accelerators --for {target} --work {name} --programs data-8`"
    )


def step_seconds(compute: float, share: int, exchanged: float, collectives: int, link: float) -> float:
    """The model. Args: compute, T(B / share) in seconds; share, devices a batch; link, the maker's bytes a second."""
    ring = 2 * (share - 1) / share * exchanged / link
    return compute + ring + collectives * math.ceil(math.log2(share)) * LATENCY


def predict(
    times: Mapping[int, float], batch: int, seeds: int, traffic: tuple[float, int], link: float
) -> dict[int, Any]:
    """Speed-up of all seeds by number of devices, with the mesh (seed, data) that the library chooses."""
    predictions = {}
    for count in DEVICES:
        devices = [SimpleNamespace(process_index=0, id=index) for index in range(count)]
        rows, share = choose_devices(seeds, batch, devices).shape
        seconds = math.ceil(seeds / rows) * step_seconds(times[share], share, *traffic, link)
        predictions[count] = {"mesh": [rows, share], "speed_up": seeds * times[1] / seconds}
    return predictions


def main(
    workload: WorkloadName = "resnet18-224",
    batch: int = 100,
    seeds: int = 3,
    target: TargetName = "h100",
    compiled: Path = RESULTS / "accelerators.json",
    rounds: int = 5,
) -> None:
    """Measure, write benchmarks/results/scaling-WORKLOAD.json and print the table.

    Args:
        workload: of benchmarks/workloads.py.
        batch: images a step.
        seeds: students that are trained.
        target: whose exchanges and link to reckon with, of benchmarks/targets.py.
        compiled: results of `benchmarks.accelerators`.
        rounds: epochs of two steps that are timed, for each share of the batch.
    """
    traffic = messages(workload, target, compiled)
    shares = [share for share in range(1, batch + 1) if batch % share == 0]
    times = {share: measure_step(workload, batch // share, rounds) for share in shares}
    found = predict(times, batch, seeds, traffic, TARGETS[target].link)
    record(
        f"scaling-{workload}",
        workload=workload, batch=batch, seeds=seeds, target=target, link=TARGETS[target].link,
        device=provenance.device(), versions=provenance.versions(),
        rounds=rounds, exchanged_bytes=traffic[0], collectives=traffic[1],
        step_seconds={batch // share: seconds for share, seconds in times.items()}, predictions=found,
    )  # fmt: skip
    table = [("devices", "mesh (seed, data)", "speed-up", "of the devices")]
    for count, row in found.items():
        share = 100 * row["speed_up"] / count
        table.append((str(count), "{} by {}".format(*row["mesh"]), f"{row['speed_up']:.1f}", f"{share:.0f} %"))
    print(Table(table).markdown)


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.scaling")
