"""Teachers on disk: an Orbax checkpoint of the weights and `teacher.json` beside it."""

import contextlib
import dataclasses
import functools
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from orbax.checkpoint import v1 as ocp

from gift_jax.data.datasets import Normalisation, embedded_description, register_embedded_dataset
from gift_jax.data.distilled import told_by_file
from gift_jax.data.transforms import Preprocessing
from gift_jax.data.typed_json import from_json
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.models import Model, ModelSpec, Network, Variables, fold, get_model
from gift_jax.runtime.files import (
    atomic_write,
    os_errors_as_gift_error,
    read_json_object,
    refuse_to_replace,
    sha256_tree,
    write_text,
)
from gift_jax.runtime.quiet_orbax import quiet_orbax

_WRITE_BYTES = 2**26  # of buffers while arrays are written
WEIGHTS, INFO = "weights", "teacher.json"
_REMAKE = "convert the teacher again with `python -m convert teacher`"


@dataclasses.dataclass(frozen=True)
class Verification:
    """How far converted logits are from PyTorch's on `images` random images.

    Largest absolute difference, that over the largest absolute logit, and the share of images with the same top class.
    """

    images: int
    max_absolute: float
    max_relative: float
    top1_agreement: float


@dataclasses.dataclass(frozen=True)
class TeacherInfo:
    """What a teacher is and where it came from: the content of `teacher.json`.

    image_size is the side of its input in pixels. source_sha256 is of the file that it was converted from, or of the
    weights of a teacher that was trained here. verification is None for a teacher that was trained here. ema says
    that the weights are the trainer's averaged ones. batches_tracked is PyTorch's counter of training batches, kept
    for export. preprocessing is its own of test images, None for the dataset's usual one.
    """

    architecture: str
    dataset: str
    num_classes: int
    image_size: int
    channels: int
    options: Mapping[str, int | float | str]
    normalisation: Normalisation
    source_file: str
    source_sha256: str
    verification: Verification | None
    versions: Mapping[str, str]
    ema: bool = False
    batches_tracked: int = 0
    preprocessing: Preprocessing | None = None

    @classmethod
    def of(cls, spec: ModelSpec, **others: Any) -> Self:
        """What a teacher of this architecture says of itself. Args: others, the fields that the spec does not have."""
        sizes = {name: getattr(spec, name) for name in ("num_classes", "image_size", "channels")}
        return cls(architecture=spec.name, **sizes, options=dict(spec.options), **others)

    @property
    def spec(self) -> ModelSpec:
        """The architecture with its sizes and options."""
        options = tuple(sorted(self.options.items()))
        return ModelSpec(self.architecture, self.num_classes, self.image_size, self.channels, options)


class Teacher(typing.NamedTuple):
    """A frozen network: BatchNorm folded into the convolutions, inference only."""

    model: Network
    params: Variables
    info: TeacherInfo

    def logits(self, images: jax.Array | np.ndarray) -> jax.Array:
        """Classify. Args: images, float32 [B, H, W, C], normalised. Returns: logits, float32 [B, classes]."""
        if images.shape[1:] != self.model.input_shape:
            takes = f"{self.info.architecture} takes images of shape {self.model.input_shape}"
            raise GiftError(f"{takes}, not {images.shape[1:]}; resize them or load the teacher of their dataset")
        return network_logits(self.model, self.params, jnp.asarray(images, jnp.float32))


@functools.partial(jax.jit, static_argnums=0)  # compiled once for all teachers of an architecture
def network_logits(model: Network, params: Variables, images: jax.Array) -> jax.Array:
    """Logits [B, classes] of a folded network."""
    return model.apply(params, {}, images)[0]


def make_teacher(info: TeacherInfo, params: Variables, batch_stats: Variables) -> Teacher:
    """Freeze weights into a teacher. Args: params, batch_stats as `Model.init` returns them."""
    model, folded = fold(get_model(info.spec), params, batch_stats)
    return Teacher(model, folded, info)


def save_teacher(directory: Path | str, info: TeacherInfo, params: Variables, batch_stats: Variables) -> None:
    """Write a teacher directory, whole or not at all, its weights unfolded. Raises: GiftError if something is there."""
    with new_teacher(Path(directory), keep=same_teacher) as temporary:
        save_arrays(temporary / WEIGHTS, params, batch_stats)
        write_info(temporary, info)


def same_teacher(before: Path, now: Path) -> bool:
    """Whether two teachers are alike; False if the first is damaged. Raises: GiftError if they are others."""
    try:
        info, *arrays = load_weights(before)
    except GiftError:
        return False
    made, *others = load_weights(now)
    alike = dataclasses.replace(info, versions=made.versions, verification=made.verification) == made
    same_leaves = jax.tree.map(np.array_equal, arrays, others) if alike else False
    return all(jax.tree.leaves(same_leaves)) or refuse_to_replace(before)


@contextlib.contextmanager
def new_teacher(directory: Path, keep: Callable[[Path, Path], bool]) -> Iterator[Path]:
    """Give a temporary directory, which becomes the teacher on success. Args: keep, as of `atomic_write`."""
    if directory.exists() and not (directory / INFO).exists():
        raise GiftError(f"{directory}: exists and is not a teacher; choose another `out`")
    with atomic_write(directory, keep=keep) as temporary:
        yield temporary


def write_info(directory: Path, info: TeacherInfo) -> None:
    """Write `teacher.json` beside weights that are there already, whose digest it keeps."""
    digest, described = sha256_tree(directory / WEIGHTS), embedded_description(info.dataset)
    content = {**dataclasses.asdict(info), "weights_sha256": digest, "dataset_description": described}
    write_text(directory / INFO, json.dumps(content, indent=2, sort_keys=True) + "\n")


def load_teacher(directory: Path | str) -> Teacher:
    """Load a teacher directory. Raises: GiftError if something is missing, of the wrong shape or not finite."""
    return make_teacher(*load_weights(directory))


def load_weights(directory: Path | str) -> tuple[TeacherInfo, Variables, Variables]:
    """Load a teacher directory as (info, params, batch_stats), BatchNorm unfolded: for students and export."""
    directory = Path(directory)
    if directory.is_file() and told_by_file(directory):
        raise GiftError(f"{directory}: is a distilled set, no teacher; give a teacher's directory")
    if not (directory / INFO).is_file():
        raise GiftError(f"{directory}: no teacher here ({INFO} is missing); make one with `python -m convert teacher`")
    content = read_json_object(directory / INFO)
    digest, described = content.pop("weights_sha256", None), content.pop("dataset_description", None)
    info = _parse_info(directory / INFO, content)
    if not info.source_sha256:  # trained here
        info = dataclasses.replace(info, source_sha256=digest or "")
    if digest != sha256_tree(directory / WEIGHTS):
        raise GiftError(f"{directory / WEIGHTS}: files were damaged or changed since they were written; {_REMAKE}")
    register_embedded_dataset(described, str(directory / INFO))
    return info, *load_arrays(directory / WEIGHTS, get_model(info.spec))


def save_arrays(path: Path, params: Variables, batch_stats: Variables) -> None:
    """Write params and statistics as an Orbax checkpoint of flat `a/b/c` names. Raises: GiftError if that fails."""
    flat = {"params": flatten(params), "batch_stats": flatten(batch_stats)}
    context = ocp.Context()
    # Nothing changes the arrays while they are written: Orbax needs no copies, nor all of its buffers at once.
    context.memory.deepcopy_host_arrays = False
    context.memory.write_concurrent_bytes = _WRITE_BYTES
    with os_errors_as_gift_error(path, Exception), quiet_orbax(), context:  # Orbax and TensorStore raise what they like
        ocp.save(str(path.absolute()), jax.tree.map(np.asarray, flat))


def load_arrays(path: Path, model: Model) -> tuple[Variables, Variables]:
    """Read (params, batch_stats). Raises: GiftError, before memory is taken, unless they fit the model exactly."""
    expected = {name: flatten(tree) for name, tree in zip(("params", "batch_stats"), model.abstract(), strict=True)}
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])  # which may be missing: nothing is wrong with the file
    with damage_as_gift_error(f"{path}: not a readable checkpoint", _REMAKE), quiet_orbax():
        found = ocp.metadata(str(path.absolute())).metadata
        _check_structure(path, found, expected)
        abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=device), expected)
        # On the host: arrays that are committed to a device would make the first two training steps compile apart.
        arrays = jax.tree.map(np.asarray, ocp.load(str(path.absolute()), abstract))
    for name, array in {**arrays["params"], **arrays["batch_stats"]}.items():
        if not np.isfinite(array).all():
            raise GiftError(f"{path}: {name} holds values that are not finite; {_REMAKE}")
    params, batch_stats = model.abstract()
    return unflatten(arrays["params"], params), unflatten(arrays["batch_stats"], batch_stats)


def _check_structure(path: Path, found: Any, expected: dict[str, dict[str, Any]]) -> None:
    for group, arrays in expected.items():
        stored = dict(found.get(group, {}))
        for name in sorted(arrays.keys() | stored.keys()):
            want, have = arrays.get(name), stored.get(name)
            if want is None or have is None:
                state = "missing" if have is None else "not part of this architecture"
                raise GiftError(f"{path}: {name} is {state}; {_REMAKE}")
            if (tuple(have.shape), have.dtype) != (want.shape, want.dtype):
                expectation = f"{want.dtype}{list(want.shape)}"
                raise GiftError(f"{path}: {name} is {have.dtype}{list(have.shape)}, not {expectation}; {_REMAKE}")


def flatten(tree: Variables) -> dict[str, Any]:
    """Nested dictionary -> `{"blocks/0/conv/kernel": array}`."""
    return {"/".join(map(str, path)): leaf for path, leaf in traverse_util.flatten_dict(tree).items()}


def unflatten(flat: Mapping[str, Any], like: Variables) -> Variables:
    """Inverse of `flatten`; `like` tells which keys are integers."""
    paths = traverse_util.flatten_dict(like)
    return traverse_util.unflatten_dict({path: flat["/".join(map(str, path))] for path in paths})


def _parse_info(path: Path, content: dict[str, Any]) -> TeacherInfo:
    info: TeacherInfo = from_json(TeacherInfo, content, str(path), _REMAKE)
    sizes = [size for size in info.options.values() if isinstance(size, int)]
    sizes += [info.num_classes, info.image_size, info.channels]
    if min(sizes) < 1 or max(sizes) > 10**6 or abs(info.batches_tracked) >= 2**63:
        raise GiftError(f"{path}: one of its numbers cannot be; {_REMAKE}")
    if len(info.normalisation.mean) != info.channels:
        raise GiftError(f"{path}: its normalisation is not of {info.channels} channels; {_REMAKE}")
    return info
