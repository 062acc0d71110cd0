"""Rule tables: how a family's PyTorch names and layouts map to this library's, and back."""

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from gift_jax.errors import GiftError

Array = np.ndarray
LONGEST_NAME = 100  # characters of a name in a message
NAME_IN_FILE = "name_in_file"  # the attribute of a tensor that keeps it through all renaming


class Relayout(NamedTuple):
    """A change of layout and its inverse."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]


SAME = Relayout(lambda array: array, lambda array: array)
CONV = Relayout(lambda oihw: oihw.transpose(2, 3, 1, 0), lambda hwio: hwio.transpose(3, 2, 0, 1))
LINEAR = Relayout(lambda oi: oi.T, lambda io: io.T)
CHW = Relayout(lambda chw: chw.transpose(1, 2, 0), lambda hwc: hwc.transpose(2, 0, 1))


def flattened(channels: int) -> Relayout:
    """A linear layer behind a flattened feature map: PyTorch flattens CHW, this library HWC."""
    return Relayout(
        lambda oi: oi.reshape(len(oi), channels, -1).transpose(2, 1, 0).reshape(-1, len(oi)),
        lambda io: io.reshape(-1, channels, io.shape[1]).transpose(2, 1, 0).reshape(io.shape[1], -1),
    )


class Rule(NamedTuple):
    """One line of a table: names that fully match the pattern go to `target`, a template of its groups.

    group is `params` or `batch_stats`. source writes the PyTorch name back from the target's (for export).
    buffers are what PyTorch stores beside this array although the architecture decides it, by last part of name.
    """

    source: str
    target: str
    transform: Relayout = SAME
    group: str = "params"
    buffers: Mapping[str, Array] = {}


def as_pattern(template: str) -> re.Pattern[str]:
    """A template of names as an expression: `{i}` stands for a number."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template)))


def _beside(source: str, name: str) -> str:
    return f"{source.rpartition('.')[0]}.{name}"


def shown(name: object) -> str:
    """A name out of a file, for a sentence: short, and without characters that break the line."""
    text = str(name)
    return text if text.isprintable() and len(text) <= LONGEST_NAME else repr(text[:LONGEST_NAME])


def name_in_file(name: str, tensor: torch.Tensor) -> str:
    """What a tensor is called in its file (`torch_file` notes it), for a sentence; by default its official name."""
    return shown(getattr(tensor, NAME_IN_FILE, name))


def affine(source: str, target: str, transform: Relayout) -> tuple[Rule, Rule]:
    """The rules of a layer with weights, of this layout, and biases."""
    return Rule(f"{source}.weight", f"{target}/kernel", transform), Rule(f"{source}.bias", f"{target}/bias")


def norm(source: str, target: str) -> tuple[Rule, Rule]:
    """The rules of a LayerNorm over channels: scale and bias."""
    return Rule(f"{source}.weight", f"{target}/scale"), Rule(f"{source}.bias", f"{target}/bias")


def conv_norm(source: str, target: str, place: int = 0) -> tuple[Rule, ...]:
    """The rules of a convolution and its BatchNorm, one after another from that place of a Sequential on."""
    convolution = Rule(f"{source}.{place}.weight", f"{target}/conv/kernel", CONV)
    return convolution, *batch_norm(f"{source}.{place + 1}", f"{target}/norm")


def batch_norm(source: str, target: str) -> tuple[Rule, ...]:
    """The four rules of a BatchNorm below two prefixes."""
    return (
        *norm(source, target),
        Rule(f"{source}.running_mean", f"{target}/mean", group="batch_stats"),
        Rule(f"{source}.running_var", f"{target}/var", group="batch_stats"),
    )


# A counter that neither evaluation nor training with a fixed momentum reads.
IGNORED = re.compile(r".*\.num_batches_tracked")

Flat = dict[str, dict[str, Array]]  # {"params": {"blocks/0/conv/kernel": array}, "batch_stats": {...}}


def from_torch(
    where: str, state: Mapping[str, torch.Tensor], rules: Sequence[Rule], expected: Mapping[str, Mapping]
) -> Flat:
    """Apply a rule table strictly: each source name by exactly one rule, each expected array exactly once.

    Args: where, the file's name for messages; expected, shapes by group and flat name. Returns: float32 arrays.
    """
    flat: Flat = {group: {} for group in expected}
    buffers = {as_pattern(_beside(rule.source, name)): value for rule in rules for name, value in rule.buffers.items()}
    for name, tensor in state.items():
        if IGNORED.fullmatch(name):
            continue
        called = f"{where}: {name_in_file(name, tensor)}"
        buffer = next((value for pattern, value in buffers.items() if pattern.fullmatch(name)), None)
        if buffer is not None:
            if tensor.shape != buffer.shape or not np.allclose(tensor.numpy(), buffer, atol=1e-6):
                raise GiftError(f"{called} is not what this architecture has; check --model")
            continue
        for rule, match in ((rule, match) for rule in rules if (match := as_pattern(rule.source).fullmatch(name))):
            target = rule.target.format(**match.groupdict())
            if (want := expected[rule.group].get(target)) is not None:
                flat[rule.group][target] = _transformed(called, tensor, rule.transform, tuple(want.shape))
                break
        else:
            raise GiftError(f"{called} is not part of this architecture; check --model")
    if expected["batch_stats"] and not flat["batch_stats"]:
        raise GiftError(
            f"{where}: BatchNorm's running statistics are missing, as if named_parameters() had been saved or the "
            "network had another norm; save `model.state_dict()`, which holds them"
        )
    for group, targets in expected.items():
        for target in targets:
            rule, source = _invert(rules, group, target)
            for name in (source, *(_beside(source, other) for other in rule.buffers)):
                if name not in state:
                    raise GiftError(f"{where}: {name} is missing; check --model, or save the file again")
    return flat


def _transformed(called: str, tensor: torch.Tensor, transform: Relayout, shape: tuple[int, ...]) -> Array:
    # Kind and size first: a few bytes of a file can stand for a tensor that fits into no memory.
    if not tensor.is_floating_point() or tensor.layout != torch.strided:
        raise GiftError(f"{called} is {tensor.dtype}, {tensor.layout}, not an array of floats; save it as float32")
    if tensor.is_meta:
        raise GiftError(f"{called} is on PyTorch's meta device, without values; save the network once it is loaded")
    value = None
    if tensor.numel() == math.prod(shape):
        wide = tensor.to(torch.float32)  # first: float8 can be told finite by no operator of its own
        if not torch.isfinite(wide).all():
            raise GiftError(f"{called} holds values that are not finite; take a checkpoint from before it broke")
        with contextlib.suppress(ValueError):
            value = transform.forward(wide.numpy())
    if value is None or value.shape != shape:
        theirs = list(transform.inverse(np.broadcast_to(np.zeros((), np.bool_), shape)).shape)  # takes no memory
        raise GiftError(
            f"{called} has shape {list(tensor.shape)}, where this architecture has {theirs}; check --model: a network "
            "of another width is another architecture"
        )
    # A copy: checkpoints are mapped into memory, all of the file for as long as one array refers to it.
    return np.array(value, order="C")


def batches_tracked(state: Mapping[str, torch.Tensor]) -> int:
    """The number of training batches that all BatchNorms have counted; zero if they differ or have not."""
    counters = (tensor for name, tensor in state.items() if IGNORED.fullmatch(name) and tensor.numel() == 1)
    counts = {int(tensor) for tensor in counters if tensor.dtype == torch.int64 and not tensor.is_meta}
    return counts.pop() if len(counts) == 1 else 0


def to_torch(
    flat: Mapping[str, Mapping[str, Array]], rules: Sequence[Rule], *, batches_tracked: int = 0
) -> dict[str, Array]:
    """Invert a rule table: PyTorch's names and layouts, bit for bit. Args: batches_tracked, BatchNorms' counter."""
    state: dict[str, Array] = {}
    for group, arrays in flat.items():
        for target, array in arrays.items():
            rule, name = _invert(rules, group, target)
            state[name] = np.ascontiguousarray(rule.transform.inverse(np.asarray(array)))
            state |= {_beside(name, other): value for other, value in rule.buffers.items()}
            if name.endswith(".running_var"):
                state[_beside(name, "num_batches_tracked")] = np.asarray(batches_tracked, np.int64)
    return state


def _invert(rules: Sequence[Rule], group: str, target: str) -> tuple[Rule, str]:
    for rule in rules:
        match = as_pattern(rule.target).fullmatch(target)
        if match and rule.group == group:
            return rule, rule.source.format(**match.groupdict())
    raise KeyError(target)
