"""Reading and writing PyTorch checkpoints and safetensors without ever executing what they hold."""

import argparse
import io
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.source import check_file, refuse_stand_in
from gift_jax.readers.splits_and_pairs import listed
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error, same_content

from .rules import NAME_IN_FILE, shown

# NumPy's numbers, which scripts store beside tensors; NumPy 1 pickles them by another name than NumPy 2.
_SCALAR: Any = np.float64(0).__reduce__()[0]
# Besides tensors and plain containers: what the torchvision reference trainer stores under "args", and numbers.
ALLOWED: tuple[Any, ...] = (
    argparse.Namespace,
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")),
)

# Under which keys trainers keep averaged weights: torchvision's reference, timm's trainer, and others.
EMA_KEYS = ("model_ema", "state_dict_ema", "ema_state_dict", "ema", "ema_model")
EMA_KEYS += ("ema_model_state_dict", "averaged_model")
# What is no weight and part of no network: how often torch.optim.swa_utils.AveragedModel has averaged, thop's counters.
COUNTERS = re.compile(r"n_averaged|(.*\.)?total_(ops|params)")
# Attributes that DataParallel, torch.compile and FSDP put into names, in front of all or of a wrapped part.
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
CONFIG_KEY = "gift_jax"  # of safetensors' metadata
# How far down mappings of tensors are looked for, as under `checkpoint["state"]["net"]`.
DEEPEST = 4

_AGAIN = "download it again, or save `model.state_dict()` with torch.save"


def load_object(path: Path) -> Any:
    """Load a `.pth` or `.pt` file with `torch.load(weights_only=True)`, or the tensors of a safetensors file.

    The file's content decides its kind, not its name.
    """
    if path.is_dir():
        raise GiftError(f"{path}: {_what_folder(path)}")
    check_file(path)
    with os_errors_as_gift_error(path), path.open("rb") as file:
        head = file.read(HEAD)
    refuse_stand_in(str(path), head)
    if is_safetensors(head):
        with damage_as_gift_error(f"{path}: not a readable safetensors file", _AGAIN):
            return safetensors.torch.load_file(path)
    return _load_torch(path, str(path), head)


def read_metadata(path: Path) -> dict[str, Any]:
    """The config that `save_state` wrote into a safetensors file's metadata; {} if there is none."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            config = json.loads((file.metadata() or {}).get(CONFIG_KEY, "{}"))
    except (safetensors.SafetensorError, OSError, ValueError):  # which is said when the weights are read
        return {}
    return config if isinstance(config, dict) else {}


def load_stream(content: bytes, label: str) -> Any:
    """Load the bytes of a `.pth` or `.pt` file as `load_object` does; label is its name in messages."""
    return _load_torch(io.BytesIO(content), label, content[:HEAD])


def is_safetensors(head: bytes) -> bool:
    """Whether a file with these first bytes, nine or more, is safetensors: its JSON header's length, then a brace."""
    return head[8:9] == b"{"


def _load_torch(file: Path | IO[bytes], label: str, head: bytes) -> Any:
    try:
        with torch.serialization.safe_globals(list(ALLOWED)), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols: the user asked for weights, not for advice
            # Without no_grad, PyTorch cannot load float8 that requires gradients. Zip archives on disk are mapped, so
            # that only what is read takes memory.
            mapped = isinstance(file, Path) and zipfile.is_zipfile(file)
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises what it likes about a damaged file.
        refused = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            reason = f"refused, because loading it would run code ({refused[1]}); save its state_dict alone"
            raise GiftError(f"{label}: {reason}") from None
        raise GiftError(f"{label}: not a PyTorch checkpoint, {_what_instead(file, head)}") from None


# What is saved for a checkpoint by mistake, by how it begins.
HEAD = 512  # bytes
INSTEAD: Mapping[str, str] = {
    r"\x89HDF": "an HDF5 file, as Keras writes; only PyTorch's weights are converted",
    r"\x93NUMPY": "a NumPy array; only PyTorch's weights are converted",
    r"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!": "a compressed file; unpack it first",
    r"(?s).{257}ustar": "a tar archive; unpack it first",
}


def _what_instead(file: Path | IO[bytes], head: bytes) -> str:
    """The end of a sentence about a file that is no checkpoint: what it is, and what would help."""
    if not head:
        return f"but an empty file; {_AGAIN}"
    text = head.decode("latin-1")
    found = next((what for pattern, what in INSTEAD.items() if re.match(pattern, text)), None) or _what_zip(file)
    return f"but {found}" if found else f"or a damaged one; {_AGAIN}"


def _what_zip(file: Path | IO[bytes]) -> str | None:
    """What a zip archive is that PyTorch does not take for a checkpoint."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises what it likes about a damaged archive.
        return None
    if any(name.endswith("constants.pkl") for name in names):
        return "a TorchScript program; save `torch.jit.load(FILE).state_dict()` with torch.save"
    if any(name.endswith("data.pkl") for name in names):
        return None
    return (
        f"a zip of other files ({', '.join(map(shown, names[:2])) or 'none'}); unpack it, and give the checkpoint in it"
    )


CHECKPOINT = re.compile(r".*\.(safetensors|pt|th|pth.*|bin|ckpt)", re.IGNORECASE)  # how its name ends


def _what_folder(path: Path) -> str:
    with os_errors_as_gift_error(path):
        files = sorted(file.name for file in path.iterdir() if CHECKPOINT.fullmatch(file.name))
    if (path / "teacher.json").is_file():
        return "a folder with a teacher that was converted already; use it as it is"
    if len(files) == 1:
        return f"a folder, not a checkpoint; give {shown(files[0])} in it"
    if files:
        return f"a folder of {len(files)} files that may be checkpoints ({listed(files, 3)}); give the one you mean"
    return "a folder without a checkpoint in it; give the .pth, .pt or .safetensors file"


def find_states(where: str, content: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Every mapping of names to tensors in a file's content, by the dotted path of its keys, the outermost first.

    A bare state dict has the path "". Counters are left out, and wrappers' attributes out of the names. Raises:
    GiftError that says what the file holds, if it holds none.
    """
    found: dict[str, dict[str, torch.Tensor]] = {}
    level, seen = [("", content)], set[int]()
    for _ in range(DEEPEST):
        below: list[tuple[str, Any]] = []
        for key, value in level:
            if _is_state(value):
                found[key] = _network_names(where, value)
            elif id(value) not in seen:  # a file of a few bytes may hold one mapping a million times
                seen.add(id(value))
                below += [(f"{key}.{name}" if key else str(name), part) for name, part in _parts(value)]
        level = below
    if not found:
        raise GiftError(f"{where}: holds no state dict, but {describe(content)}; save `model.state_dict()`")
    return found


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in value.items())
    )


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def describe(content: Any) -> str:
    """What a file's content is, in a few words."""
    if isinstance(content, Mapping):
        strangers = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
        if content and len(strangers) < len(content):
            first, count = [*strangers, *content][0], len(content) - len(strangers)
            kind = type(content[first]).__name__
            return f"{count} tensor{'s' * (count != 1)} beside {shown(first)!r}, of type {kind}"
        return f"a mapping of {', '.join(shown(name) for name in list(content)[:4]) or 'nothing'}"
    if isinstance(content, list | tuple):
        kinds = ", ".join(type(entry).__name__ for entry in content[:3])
        return f"a {type(content).__name__} of {len(content)} ({kinds})"
    if isinstance(content, torch.Tensor):
        return f"a tensor {list(content.shape)} alone"
    return f"an object of type {type(content).__name__}"


def _network_names(where: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors apart from the graph that computed them, under names without wrappers, and without counters."""
    names = [name for name in state if not COUNTERS.fullmatch(name)]
    bare: dict[str, torch.Tensor] = {}
    for name in names:
        # A tensor that requires gradients, as parameters do, and one that is stored negated give no NumPy array.
        tensor = state[name].detach().resolve_neg()
        setattr(tensor, NAME_IN_FILE, name)
        bare[".".join(part for part in name.split(".") if part not in WRAPPERS)] = tensor
    if len(bare) != len(names):
        raise GiftError(f"{where}: holds the same weights with and without a prefix; save `model.state_dict()` once")
    return bare


def check_ending(path: Path) -> None:
    """Raises: GiftError if a file to write does not end as PyTorch's checkpoints do."""
    if not CHECKPOINT.fullmatch(path.name):
        raise GiftError(f"{path}: weights are written as .safetensors, or by torch.save as .pth or .pt; name it so")


def save_state(path: Path, state: Mapping[str, np.ndarray], config: Mapping[str, Any] | None = None) -> None:
    """Write a state dict, whole or not at all: safetensors by that suffix, else `{"model": ...}` by torch.save.

    Args: config, what a config.json says of the weights, which goes into the metadata of safetensors.
    Raises: GiftError if something else is there, or if it cannot be written.
    """
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in state.items()}
    if path.suffix.lower() != ".safetensors":
        save_object(path, {"model": tensors})
        return
    with atomic_write(path, keep=same_content) as temporary, os_errors_as_gift_error(path):
        safetensors.torch.save_file(tensors, temporary, {CONFIG_KEY: json.dumps(config)} if config else None)


def save_object(path: Path, value: Any) -> None:
    """Write what `torch.save` takes. Raises: GiftError if something else is there, or if it cannot be written."""
    with atomic_write(path, keep=same_content) as temporary, os_errors_as_gift_error(path):
        try:
            torch.save(value, temporary)
        except RuntimeError:  # which names places in PyTorch's own code where the disk is full
            raise GiftError(f"{path}: PyTorch could not write all of it; free some space") from None
