"""Changes that are kept for speed on the CPU, and how each is taken back: sides `without-NAME` of `compare`."""

import functools
from collections.abc import Mapping
from typing import Any

from benchmarks import ours
from benchmarks.workloads import Workload
from gift_jax.models import convolution, fused, pooling, winograd
from gift_jax.runtime import compiling
from gift_jax.runtime.sharding import jit_over
from gift_jax.training import epochs
from gift_jax.training.step import make_step

# Module, name and value that take a change back. Without huge pages the process starts.
CHANGES: Mapping[str, tuple[Any, str, Any] | None] = {
    "kernels": (compiling, "OPTIONS", {}),
    "loop": (ours, "make_epoch", functools.partial(epochs.make_epoch, driver="scan")),
    "few-channels": (convolution, "FEW_CHANNELS", 0),
    "winograd": (winograd, "FEWEST_CHANNELS", 10**9),
    "blocks": (fused, "_OWN_NORMALISE_RELU_POOL", fused._normalise_relu_pool),
    "norms": (fused, "_OWN_NORMALISE", fused._normalise),
    "max-pool": (pooling, "_OWN_MAX_POOL", pooling._max_pool),
    "huge-pages": None,
    "parts": (epochs, "_make_jitted_step", lambda program, seeds: jit_over(make_step(program), seeds)),
}


def take_back(name: str) -> None:
    """Take a change back in this process."""
    if undone := CHANGES[name]:
        setattr(*undone)


def without(workload: Workload, name: str) -> ours.Ours:
    """Our side with one change taken back."""
    take_back(name)
    return ours.Ours(workload)
