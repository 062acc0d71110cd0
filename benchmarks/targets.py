"""Accelerators that need not be there: how XLA is told of them, and what their data sheets say.

JAX compiles for a device that a topology describes: TPUs by libtpu, GPUs by the CUDA plugin. Both come with the extra
`accelerators`, and read their settings from the environment.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gift_jax.runtime import devices as runtime_devices

_DESCRIPTIONS = Path(__file__).parent / "descriptions"


class Target(NamedTuple):
    """A kind of device: what XLA calls it, and its maker's figures.

    platform, as `jax.default_backend()` has it; kind, of TPUs what `TPU_ACCELERATOR_TYPE` names for four chips;
    topologies, by the number of devices; flops, a second by precision (float32 is what XLA uses for it by default: TF32
    on GPUs, one bfloat16 pass on TPUs); bandwidth and link, bytes a second of memory and of one device's links to
    others, in one direction; memory, bytes.
    """

    platform: str
    kind: str
    topologies: Mapping[int, str]
    flops: Mapping[str, float]
    bandwidth: float
    link: float
    memory: float


def _tpu(name: str, kind: str, flops: float, *figures: float) -> Target:
    topologies = {1: f"{name}:2x2", 8: f"{name}:2x4"}
    return Target("tpu", kind, topologies, {"bfloat16": flops, "float32": flops}, *figures)


# Figures are those of https://cloud.google.com/tpu/docs/NAME and https://www.nvidia.com/en-us/data-center/h100/ (SXM,
# without sparsity).
TARGETS: Mapping[str, Target] = {
    "v5e": _tpu("v5e", "v5litepod-4", 197e12, 819e9, 200e9, 16e9),
    "v6e": _tpu("v6e", "v6e-4", 918e12, 1640e9, 400e9, 32e9),
    "h100": Target("gpu", "", {1: "1x1x1", 8: "1x1x8"}, {"bfloat16": 989e12, "float32": 494e12}, 3350e9, 450e9, 80e9),
}


def environment(name: str) -> dict[str, str]:
    """The environment of a process that compiles for a target; JAX itself runs on the CPU there."""
    target = TARGETS[name]
    settings = {"JAX_PLATFORMS": "cpu"}
    if target.platform == "tpu":
        # Neither the machine's own TPUs nor a cloud's metadata are asked, and several processes may compile at once.
        local = {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
        settings |= {**local, "TPU_ACCELERATOR_TYPE": target.kind, "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    else:
        # Autotuning runs kernels, for which there is no device; without it some of Triton's products do not compile.
        flags = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"
        settings["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    return {**os.environ, **settings}


def installed(name: str) -> bool:
    """Whether the compiler of a target is here."""
    return runtime_devices.installed("tpu" if TARGETS[name].platform == "tpu" else "cuda12")


def devices(name: str, count: int) -> Sequence[Any]:
    """So many devices of a target, to compile for, in a process with its `environment`."""
    from jax.experimental import topologies

    target = TARGETS[name]
    topology = target.topologies[count]
    if target.platform == "tpu":
        return topologies.get_topology_desc(topology, platform="tpu").devices[:count]
    described = (_DESCRIPTIONS / f"{name}.txtpb").read_text()
    return topologies.get_topology_desc(name, platform="cuda", target_config=described, topology=topology).devices
