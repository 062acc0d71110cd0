"""What an optimised XLA program does, read from its text: operations, their FLOPs and bytes, and what devices exchange.

FLOPs are those of convolutions and matrix products. Bytes are what an operation reads and writes of the device's main
memory: arrays that the compiler keeps on the chip (TPU's memory space 1) count nothing, and of an array that a gather
or a slice reads, only the part that it takes.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_SIZES: Mapping[str, float] = {
    **{"pred": 1, "bf16": 2, "token": 0, "opaque": 0},
    **{f"{kind}{bits}": bits / 8 for kind in "sufc" for bits in (2, 4, 8, 16, 32, 64, 128)},
}
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_INSTRUCTION = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = (.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_CALLED = re.compile(
    r"(calls|body|branch_computations|to_apply|true_computation|false_computation)=\{?([^,}\s]+(?:, %[^,}]+)*)"
)

# What moves no data by itself: names for what other operations made, and the ends of what runs beside others.
_FREE = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"})
_PARTIAL = frozenset({"gather", "dynamic-slice", "slice"})
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_PRODUCTS = frozenset({"dot", "__cublas$gemm", "__cublas$lt$matmul"})
# Where image, kernel and output are among the two operands and the result.
_CONVOLUTIONS = {
    **dict.fromkeys(("convolution", "__cudnn$convForward", "__cudnn$convBiasActivationForward"), (0, 1, 2)),
    "__cudnn$convBackwardInput": (2, 1, 0),
    "__cudnn$convBackwardFilter": (0, 2, 1),
}


class Array(NamedTuple):
    """One array's element type and dimensions; on_chip, whether it is in a TPU's own memory."""

    kind: str
    dimensions: tuple[int, ...]
    on_chip: bool = False

    @property
    def elements(self) -> int:
        """How many there are."""
        return math.prod(self.dimensions)

    @property
    def size(self) -> float:
        """Bytes, wherever it is."""
        return self.elements * _SIZES.get(self.kind, 1)

    @property
    def bytes(self) -> float:
        """Of main memory."""
        return 0.0 if self.on_chip else self.size


class Instruction(NamedTuple):
    """An operation: what it makes, of which others, and the text of its attributes; calls are computations it runs."""

    name: str
    opcode: str
    arrays: tuple[Array, ...]
    operands: "tuple[Instruction, ...]"
    attributes: str
    calls: tuple[str, ...]
    is_root: bool

    def attribute(self, pattern: str, default: str = "") -> str:
        """The first group of a pattern in the attributes."""
        found = re.search(pattern, self.attributes)
        return found[1] if found else default

    @property
    def source(self) -> str:
        """The operation in JAX's terms that it came from, such as `conv_general_dilated`."""
        path = self.attribute(r'op_name="([^"]*)"')
        return path.removeprefix("jit(epoch)/").replace("while/body/closed_call/", "")

    @property
    def made(self) -> str:
        """Type and dimensions of the largest array that it makes, such as `bf16[100,32,32,128]`."""
        largest = max(self.arrays, key=lambda array: array.size, default=None)
        return f"{largest.kind}[{','.join(map(str, largest.dimensions))}]" if largest else ""

    @property
    def target(self) -> str:
        """Of a custom call, what it calls, such as `__cudnn$convForward`."""
        return self.attribute(r'custom_call_target="([^"]*)"')


Computation = Mapping[str, Instruction]


class Module(NamedTuple):
    """Computations by name, and the one that is run."""

    computations: Mapping[str, Computation]
    entry: str

    @property
    def instructions(self) -> Iterator[Instruction]:
        """The operations of all computations."""
        return (instruction for computation in self.computations.values() for instruction in computation.values())

    def inside(self, instruction: Instruction) -> Computation:
        """The operations that a fusion joins; of others, none."""
        return self.computations.get(instruction.calls[0], {}) if instruction.opcode == "fusion" else {}


class Cost(NamedTuple):
    """An operation of a step: how often it runs, and of all its runs FLOPs, bytes and, on TPUs, estimated cycles."""

    instruction: Instruction
    times: float
    flops: float
    bytes: float
    cycles: float


def parse(text: str) -> Module:
    """Read the text of an optimised program, as `compiled.as_text()` gives it."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", ""
    for line in text.splitlines():
        if not line.startswith(" ") and (head := _COMPUTATION.match(line)):
            current = head[2]
            computations[current] = {}
            entry = current if head[1] else entry
        elif current and (found := _INSTRUCTION.match(line)):
            known = computations[current]
            known[found[2]] = _parse_instruction(found[2], found[3], known, is_root=bool(found[1]))
    return Module(computations, entry)


def _parse_instruction(name: str, text: str, known: Computation, *, is_root: bool) -> Instruction:
    shape = text[: _closing(text)] if text.startswith("(") else text.split(" ", 1)[0]
    rest = text[len(shape) :].lstrip()
    opcode = rest[: rest.index("(")]
    inner = rest[len(opcode) :]
    end = _closing(inner)
    calls = [word.strip().lstrip("%") for match in _CALLED.finditer(inner[end:]) for word in match[2].split(",")]
    operands = tuple(known[word] for word in re.findall(r"%([\w.\-]+)", inner[:end]) if word in known)
    attributes = inner if opcode == "parameter" else inner[end:]
    return Instruction(name, opcode, _parse_arrays(shape), operands, attributes, tuple(calls), is_root)


def _closing(text: str) -> int:
    """Where the parenthesis that text begins with is closed, one past it."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place + 1
    return len(text)


def _parse_arrays(shape: str) -> tuple[Array, ...]:
    return tuple(
        Array(kind, tuple(int(size) for size in sizes.split(",") if size), "S(1)" in (layout or ""))
        for kind, sizes, layout in _ARRAY.findall(shape)
    )


def step_of(module: Module) -> str:
    """The computation of one training step: the body of the loop that does most of the arithmetic; else the entry."""
    loops = (body for one in module.instructions if one.opcode == "while" for body in one.calls)
    flops = {body: sum(cost.flops for cost in costs(module, body)) for body in loops}
    largest = max(flops, key=flops.__getitem__, default=module.entry)
    return largest if flops.get(largest) else module.entry


def executed(module: Module, name: str, times: float = 1.0) -> Iterator[tuple[Instruction, float]]:
    """The operations that run when a computation does, with how often: loops as often as XLA knows, else once.

    Of a conditional's branches each runs in its share of the batches.
    """
    for instruction in module.computations[name].values():
        inside = times
        if instruction.opcode == "while":
            inside *= int(instruction.attribute(r"known_trip_count[^\d]*(\d+)", "1"))
        elif instruction.opcode == "conditional":
            inside /= len(instruction.calls)
        elif instruction.opcode not in ("call", "async-start"):
            yield instruction, times
            continue
        for called in instruction.calls:
            if called in module.computations:
                yield from executed(module, called, inside)


def costs(module: Module, name: str) -> list[Cost]:
    """What every operation of a computation costs."""
    return [
        Cost(
            instruction,
            times,
            times * _flops(module, instruction),
            times * _bytes(module, instruction),
            times * int(instruction.attribute(r'"estimated_cycles":"(\d+)"', "0")),
        )
        for instruction, times in executed(module, name)
    ]


def collectives(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """What devices exchange: kind, dimensions and bytes of each exchange, and the groups that exchange it."""
    found = []
    for instruction, times, *_ in costs:
        kind, arrays = instruction.opcode.removesuffix("-start"), instruction.arrays
        if kind not in COLLECTIVES:
            continue
        if kind != instruction.opcode and len(arrays) > 1:  # a start's result names its operands too
            arrays = arrays[len(arrays) // 2 :]
        groups = instruction.attribute(r"(?:replica_groups|source_target_pairs)=(\{\{.*?\}\}|\[[^ ]*?\](?=,|$))")
        exchange = {"kind": kind, "shapes": [list(array.dimensions) for array in arrays]}
        moved = times * sum(array.size for array in arrays)
        found.append({**exchange, "bytes": moved, "groups": read_groups(groups), "of": instruction.source})
    return found


def read_groups(text: str) -> list[list[int]]:
    """Groups of devices: listed (`{{0,1},{2,3}}`), or a reshaped count (`[2,2]<=[4]`, with `T(1,0)` transposed)."""
    if text.startswith("{"):
        return [[int(number) for number in group.split(",")] for group in re.findall(r"\{([\d,]+)\}", text)]
    if not (found := re.match(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", text)):
        return []
    shape, counted, order = ([int(number) for number in part.split(",")] if part else None for part in found.groups())
    return np.arange(math.prod(counted)).reshape(counted).transpose(order).reshape(shape).tolist()


def _operations(module: Module, costs: Sequence[Cost]) -> Iterator[tuple[Cost, Instruction]]:
    """Every operation of a step, and those that fusions join."""
    for cost in costs:
        for instruction in (cost.instruction, *module.inside(cost.instruction).values()):
            yield cost, instruction


def convolutions(module: Module, costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """The step's convolutions: whose call each is, the types of its operands, and where it comes from."""
    found = []
    for cost, one in _operations(module, costs):
        source = one.source or cost.instruction.source
        is_convolution = one.opcode == "convolution" or one.target.startswith("__cudnn$conv")
        if is_convolution and "conv_general_dilated" in source:
            kinds = sorted({array.kind for operand in one.operands for array in operand.arrays})
            found.append({"call": one.target or one.opcode, "kinds": kinds, "of": source})
    return found


def layout_changes(module: Module, costs: Sequence[Cost], least: int) -> list[dict[str, Any]]:
    """Transpositions and copies of arrays of so many bytes or more that take a pass over memory of their own."""
    found = []
    for cost in costs:
        instruction = cost.instruction
        root = next((one for one in module.inside(instruction).values() if one.is_root), instruction)
        size = sum(array.size for array in instruction.arrays)
        if root.opcode in ("copy", "transpose") and size >= least:
            found.append({"of": instruction.source, "makes": instruction.made, "bytes": cost.times * size})
    return found


def transfers(module: Module) -> list[str]:
    """Operations anywhere in the program that exchange data with the host."""
    opcodes = ("infeed", "outfeed", "send", "recv", "send-done", "recv-done")
    return [
        instruction.name
        for instruction in module.instructions
        if instruction.opcode in opcodes or "callback" in instruction.target or "MoveToHost" in instruction.target
    ]


def gathered(module: Module, costs: Sequence[Cost]) -> float:
    """Bytes that gathers make: what TPUs look up piece by piece."""
    gathers = ((cost, one) for cost, one in _operations(module, costs) if one.opcode == "gather")
    return sum(cost.times * array.size for cost, one in gathers for array in one.arrays)


def _bytes(module: Module, instruction: Instruction) -> float:
    if instruction.opcode in _FREE or instruction.opcode.endswith("-done"):
        return 0.0
    written = sum(array.bytes for array in instruction.arrays)
    if instruction.opcode in ("copy-start", "slice-start"):  # the result names both ends, and a slice's source whole
        ends = instruction.arrays[:2]
        return min(array.size for array in ends) * sum(not array.on_chip for array in ends)
    if instruction.opcode in _PARTIAL:
        return 2 * written
    if instruction.opcode == "dynamic-update-slice":
        return 2 * sum(array.bytes for array in instruction.operands[1].arrays)
    parts = _partly_read(module.inside(instruction))
    read = 0.0
    for place, operand in enumerate(instruction.operands):
        whole = sum(array.bytes for array in operand.arrays)
        read += min(whole, parts.get(place, whole))
    return read + written


def _partly_read(inside: Computation) -> Mapping[int, float]:
    """Bytes that a fusion reads of those parameters of which it only takes slices, by the parameters' place."""
    users: dict[str, list[Instruction]] = {}
    for instruction in inside.values():
        for operand in instruction.operands[:1]:
            users.setdefault(operand.name, []).append(instruction)
    elsewhere = {operand.name for instruction in inside.values() for operand in instruction.operands[1:]}
    return {
        int(parameter.attribute(r"\((\d+)\)")): sum(array.size for user in used for array in user.arrays)
        for parameter in inside.values()
        if parameter.opcode == "parameter" and parameter.name not in elsewhere
        if (used := users.get(parameter.name)) and all(user.opcode in _PARTIAL for user in used)
    }


def _flops(module: Module, instruction: Instruction) -> float:
    if instruction.opcode == "fusion":
        return sum(_flops(module, inner) for inner in module.inside(instruction).values())
    name = instruction.target if instruction.opcode == "custom-call" else instruction.opcode
    if name in _PRODUCTS:
        return _product_flops(instruction)
    return _convolution_flops(instruction, _CONVOLUTIONS[name]) if name in _CONVOLUTIONS else 0.0


def _product_flops(instruction: Instruction) -> float:
    left = instruction.operands[0].arrays[0]
    listed = instruction.attribute(r'lhs_contracting_dim[a-z]*"?[=:][{\[]([^}\]]*)')
    contracted = math.prod(left.dimensions[int(place)] for place in re.findall(r"\d+", listed))
    return 2.0 * instruction.arrays[0].elements * contracted


def _convolution_flops(instruction: Instruction, order: tuple[int, int, int]) -> float:
    """Args: order, the places of image, kernel and output among the two operands and the result."""
    arrays = [one.arrays[0] for one in (*instruction.operands[:2], instruction)]
    labels = re.split("_|->", instruction.attribute(r"dim_labels=(\S+?)(?:,|$)"))
    image, kernel, output = (
        dict(zip(names, arrays[place].dimensions, strict=True)) for names, place in zip(labels, order, strict=True)
    )
    window = dict(re.findall(r"(\w+)=([\w\-]+)", instruction.attribute(r"window=\{([^}]*)\}")))
    products = output["b"] * output["f"] * kernel["i"]
    for axis in map(str, range(len(image) - 2)):
        products *= _overlaps(window, int(axis), image[axis], output[axis], kernel[axis])
    return 2.0 * products


def _overlaps(window: Mapping[str, str], axis: int, image: int, output: int, kernel: int) -> int:
    """Pairs of an output's and a kernel's place along an axis that meet a pixel, not padding or a dilation's gap."""

    def field(name: str, default: str) -> str:
        return window[name].split("x")[axis] if name in window else default

    stride, before = int(field("stride", "1")), int(field("pad", "0_0").split("_")[0])
    gap, step = int(field("lhs_dilate", "1")), int(field("rhs_dilate", "1"))
    places = (i * stride + j * step - before for i in range(output) for j in range(kernel))
    return sum(place % gap == 0 and 0 <= place <= (image - 1) * gap for place in places)
