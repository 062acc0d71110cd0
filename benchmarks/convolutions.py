"""What a step's convolutions take, one by one: forward, and backward by input and by weights, ours beside PyTorch's.

Command: `python -m benchmarks.convolutions`; writes benchmarks/results/convolutions-DEVICE.json. Each is compiled and
timed alone, each framework in a process of its own.
"""

import collections
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.compare import WorkloadName, file_name, record
from benchmarks.worker import find_processor, in_own_process, median_milliseconds
from benchmarks.workloads import WORKLOADS
from gift_jax.reports.page import Table
from gift_jax.runtime import cli
from gift_jax.runtime.memory import TUNABLES

PASSES = ("forward", "by input", "by weights")
NAMES = ("NHWC", "HWIO", "NHWC")


class Convolution(NamedTuple):
    """Shapes [B, H, W, C] and [height, width, C, K] of a layer's image and kernel, and its stride and padding."""

    images: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int
    padding: int

    def __str__(self) -> str:
        side, (size, _, inputs, outputs) = self.images[1], self.kernel
        step = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{size}x{size}, {inputs} to {outputs} channels at {side}x{side}{step}"


def find_convolutions(name: str) -> Mapping[Convolution, int]:
    """The convolutions of a workload's network, and how many layers are like each."""
    import jax
    import jax.numpy as jnp

    from gift_jax.models import ModelSpec, get_model
    from gift_jax.runtime.compiling import tracing_for_platform

    workload = WORKLOADS[name]
    model = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    images = jnp.zeros((workload.cpu.batch, workload.side, workload.side, workload.channels))
    with tracing_for_platform("any"):
        traced = jax.make_jaxpr(functools.partial(model.apply, train=True))(*variables, images)
    found = (
        (equation.invars[0].aval.shape, equation.invars[1].aval.shape, equation.params)
        for equation in _equations(traced.jaxpr)
        if equation.primitive.name == "conv_general_dilated"
    )
    return collections.Counter(
        Convolution(images, kernel, options["window_strides"][0], options["padding"][0][0])
        for images, kernel, options in found
    )


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Of a traced function, those of the functions that it calls included."""
    from jax.extend import core

    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from _equations(inner)


def ours(layer: Convolution) -> list[Callable[[], Any]]:
    """A call for each pass of a convolution, as our networks compute it."""
    import jax

    from gift_jax.models.convolution import convolve
    from gift_jax.runtime.compiling import jit

    keys = jax.random.split(jax.random.key(0))
    images, kernel = jax.random.normal(keys[0], layer.images), jax.random.normal(keys[1], layer.kernel)
    around = ((layer.padding, layer.padding),) * 2
    convolved = functools.partial(convolve, strides=(layer.stride,) * 2, padding=around, dimension_numbers=NAMES)
    along = convolved(images, kernel)

    def backward(argument: int) -> Callable[..., Any]:
        return jit(lambda *inputs: jax.vjp(convolved, *inputs)[1](along)[argument])

    functions = (jit(convolved), backward(0), backward(1))
    return [lambda function=function: jax.block_until_ready(function(images, kernel)) for function in functions]


def pytorch(layer: Convolution) -> list[Callable[[], Any]]:
    """A call for each pass of a convolution in PyTorch, channels last."""
    import torch

    batch, height, width, channels = layer.images
    size, _, _, outputs = layer.kernel
    images = torch.randn(batch, channels, height, width).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(outputs, layer.kernel[2], size, size).contiguous(memory_format=torch.channels_last)
    stride, padding = [layer.stride] * 2, [layer.padding] * 2

    def forward() -> torch.Tensor:
        return torch.nn.functional.conv2d(images, kernel, stride=stride, padding=padding)

    along = forward()

    def backward(*wanted: bool) -> Any:
        fixed = (None, stride, padding, [1, 1], False, [0, 0], 1)
        return torch.ops.aten.convolution_backward(along, images, kernel, *fixed, wanted)

    return [forward, functools.partial(backward, True, False, False), functools.partial(backward, False, True, False)]


SIDES: Mapping[str, Callable[[Convolution], list[Callable[[], Any]]]] = {"ours": ours, "PyTorch": pytorch}


def measure(side: str, layers: Sequence[Convolution]) -> list[list[float]]:
    """Milliseconds of each pass of each layer, in this process."""
    return [[median_milliseconds(call) for call in SIDES[side](layer)] for layer in layers]


def make_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: a line a layer, milliseconds of each pass, ours and PyTorch's."""
    table = [("layers", "convolution", *(f"{name}: {side}" for name in PASSES for side in SIDES))]
    for row in rows:
        pairs = zip(*(row[side] for side in SIDES), strict=True)
        table.append((str(row["layers"]), row["convolution"], *(f"{value:.1f}" for pair in pairs for value in pair)))
    return Table(table).markdown


def main(workload: WorkloadName = "resnet18_modified-32") -> None:
    """Measure, write the results and print the table. Args: workload, of benchmarks/workloads.py."""
    counts = in_own_process(find_convolutions, workload)
    layers = list(counts)
    times = {"PyTorch": in_own_process(measure, "PyTorch", layers)}
    os.environ.update(TUNABLES)  # as our commands start themselves
    times["ours"] = in_own_process(measure, "ours", layers)
    rows = [
        {"convolution": str(layer), "layers": counts[layer], **{side: times[side][index] for side in SIDES}}
        for index, layer in enumerate(layers)
    ]
    record(f"convolutions-{file_name(find_processor())}", workload=workload, passes=PASSES, milliseconds=rows)
    print(make_table(rows))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.convolutions")
