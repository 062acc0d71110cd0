"""Reading and writing PyTorch checkpoints and safetensors without ever executing what they hold."""

import argparse
import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported, written_whole

# NumPy's numbers, which scripts store beside tensors; NumPy 1 pickles them by another name than NumPy 2.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY = (
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")),
)
# Besides tensors and plain containers: what the torchvision reference trainer stores under "args", and numbers.
ALLOWED: tuple[Any, ...] = (argparse.Namespace, *_NUMPY)

# Where trainers keep the weights, in order of preference; a file without any of these is a bare state dict.
EMA = "model_ema"
STATE_KEYS = ("model", "state_dict", EMA)
# What torch.optim.swa_utils.AveragedModel, the torchvision reference's model_ema, counts beside its weights.
COUNTER = "n_averaged"
# What DataParallel and torch.compile put in front of every name.
PREFIXES = ("module.", "_orig_mod.")

_AGAIN = "download it again, or save `model.state_dict()` with torch.save"


def load_object(path: Path) -> Any:
    """Load a `.pth` or `.pt` file with `torch.load(weights_only=True)`, or the tensors of a safetensors file.

    The file's content decides its kind, not its name. Raises: GiftError if it is missing, damaged, of another
    kind, or would run code if it were unpickled.
    """
    if not path.is_file():
        raise GiftError(f"{path}: no such file; check the path")
    with reported(path), path.open("rb") as file:
        head = file.read(9)
    if is_safetensors(head):
        return _load_safetensors(path)
    return _load_torch(path, str(path))


def load_stream(content: bytes, label: str) -> Any:
    """Load the bytes of a `.pth` or `.pt` file as `load_object` does; label is its name in messages."""
    return _load_torch(io.BytesIO(content), label)


def is_safetensors(head: bytes) -> bool:
    """Whether a file with these first nine bytes is safetensors: the length of its JSON header, then a brace."""
    return head[8:9] == b"{"


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise GiftError(f"{path}: not a readable safetensors file ({error}); {_AGAIN}") from None


def _load_torch(file: Path | IO[bytes], label: str) -> Any:
    try:
        with torch.serialization.safe_globals(list(ALLOWED)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols: the user asked for weights, not for advice
            # Zip archives on disk are mapped, so that only what is read takes memory.
            mapped = isinstance(file, Path) and zipfile.is_zipfile(file)
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises what it likes about a damaged file.
        refused = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            reason = f"refused, because loading it would run code ({refused[1]}); save its state_dict alone"
            raise GiftError(f"{label}: {reason}") from None
        raise GiftError(f"{label}: not a PyTorch checkpoint, or a damaged one; {_AGAIN}") from None


def load_state(path: Path, *, ema: bool = False) -> dict[str, torch.Tensor]:
    """Load a state dict: of a trainer's checkpoint, bare, or safetensors; prefixes of wrappers removed.

    Args: ema, take the trainer's averaged weights, `model_ema`, rather than the last ones.
    Raises: GiftError if there is none in the file.
    """
    content = load_object(path)
    if isinstance(content, Mapping):
        keys = [key for key in ((EMA,) if ema else STATE_KEYS) if isinstance(content.get(key), Mapping)]
        if ema and not keys:
            raise GiftError(f"{path}: holds no averaged weights ({EMA}); leave out --ema")
        content = content[keys[0]] if keys else content
    if not isinstance(content, Mapping) or not content:
        raise GiftError(f"{path}: holds no state dict; save `model.state_dict()`")
    strangers = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if strangers:
        raise GiftError(
            f"{path}: {strangers[0]!r} is not a tensor, so this is no state dict; save `model.state_dict()`"
        )
    names = [name for name in content if name != COUNTER]
    state = {_without_prefixes(str(name)): content[name] for name in names}
    if len(state) != len(names):
        raise GiftError(f"{path}: holds the same weights with and without a prefix; save `model.state_dict()` once")
    return state


def _without_prefixes(name: str) -> str:
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), None):
        name = name.removeprefix(prefix)
    return name


def save_state(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Write a state dict, whole or not at all: safetensors by that suffix, else `{"model": ...}` by torch.save."""
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in state.items()}
    if path.suffix != ".safetensors":
        save_object(path, {"model": tensors})
        return
    with written_whole(path) as temporary, reported(path):
        safetensors.torch.save_file(tensors, temporary)


def save_object(path: Path, value: Any) -> None:
    """Write what `torch.save` takes, whole or not at all. Raises: GiftError if the file cannot be written."""
    with written_whole(path) as temporary, reported(path, RuntimeError):  # PyTorch's, of a disk that is full
        torch.save(value, temporary)
