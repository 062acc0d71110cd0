"""Architectures by name, as pure functions over plain dictionaries of arrays.

A family is a file beside this one; `MODELS` names its constructors.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gift_jax.errors import GiftError, unknown_name
from gift_jax.models import resnet, resnet_cifar, vgg
from gift_jax.models.alexnet import AlexNet
from gift_jax.models.convnet import ConvNet
from gift_jax.models.convnext import ConvNeXt
from gift_jax.models.efficientnet import EfficientNet
from gift_jax.models.mobilenet import MobileNetV2
from gift_jax.models.norms import Norm, fold_batch_norm
from gift_jax.models.resnet import ResNet
from gift_jax.models.resnet_ap import ResNetAP
from gift_jax.models.resnet_cifar import ResNetCifar
from gift_jax.models.shufflenet import ShuffleNetV2
from gift_jax.models.swin import SwinV2
from gift_jax.models.vgg import VGG
from gift_jax.models.vit import ViT
from gift_jax.runtime.compiling import cached_factory
from gift_jax.runtime.seeds import check_seeds

Variables = dict[Any, Any]
"""A nested dictionary of arrays: a model's parameters, or its BatchNorm statistics."""

MODELS: Mapping[str, functools.partial[nnx.Module]] = {
    **{f"conv{depth}": functools.partial(ConvNet, depth=depth) for depth in range(1, 10)},
    "alexnet": functools.partial(AlexNet),
    **{f"vgg{depth}": functools.partial(VGG, depth=depth) for depth in vgg.PARTS},
    "mobilenet_v2": functools.partial(MobileNetV2),
    "efficientnet_b0": functools.partial(EfficientNet),
    "shufflenet_v2_x0_5": functools.partial(ShuffleNetV2),
    "convnext_tiny": functools.partial(ConvNeXt),
    "vit_b_16": functools.partial(ViT),
    "swin_v2_t": functools.partial(SwinV2),
    **{
        f"resnet{depth}{stem}": functools.partial(ResNet, depth=depth, **options)
        for stem, options in (("", {}), ("_modified", {"small_images": True}))
        for depth in resnet.STAGES
    },
    **{f"resnet{depth}": functools.partial(ResNetCifar, depth=depth) for depth in resnet_cifar.DEPTHS},
    "resnet_ap10": functools.partial(ResNetAP),
}


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Everything that decides a model's structure: name, classes, input and the family's own options.

    image_size is the side of the square input in pixels; options are sorted (name, value) pairs, such as
    `(("norm", "instance"), ("width", 32))`, so that specs can be compared and hashed.
    """

    name: str
    num_classes: int
    image_size: int
    channels: int = 3
    options: tuple[tuple[str, int | float | str], ...] = ()

    def create(self, rngs: nnx.Rngs) -> nnx.Module:
        """Build the NNX module. Raises: GiftError for an unknown name or option."""
        if self.name not in MODELS:
            raise unknown_name("model", self.name, MODELS)
        try:
            _check_options(self)
            return MODELS[self.name].func(
                **MODELS[self.name].keywords,
                **dict(self.options),
                num_classes=self.num_classes,
                image_size=self.image_size,
                channels=self.channels,
                rngs=rngs,
            )
        except (TypeError, ValueError, ArithmeticError) as error:
            raise GiftError(f"model {self.name!r} does not take these options {dict(self.options)}: {error}") from None


def _check_options(spec: ModelSpec) -> None:
    """Raises: TypeError for an option that the family does not have, ValueError for a value that is not of its kind."""
    model = MODELS[spec.name]
    defaults = inspect.getfullargspec(model.func.__init__).kwonlydefaults or {}
    options = {name: value for name, value in defaults.items() if name not in (*model.keywords, "channels")}
    for name, value in spec.options:
        if name not in options:
            raise TypeError(f"{name!r} is none of its options, which are {', '.join(options) or 'none'}")
        if isinstance(options[name], bool) and value not in (0, 1):
            raise ValueError(f"{name} must be 0 or 1")
        if type(options[name]) is int and not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name} must be a whole number from 1")


def create(
    name: str, *, num_classes: int, image_size: int, channels: int = 3, seed: int = 0, **options: Any
) -> nnx.Module:
    """Build an NNX module with PyTorch's initial distribution.

    Args: name, such as `conv3`; image_size, in pixels; options of the family, such as width and norm.
    Returns: a module `(images [B, H, W, channels], *, train) -> logits [B, num_classes]`.
    """
    spec = ModelSpec(name, num_classes, image_size, channels, tuple(sorted(options.items())))
    check_seeds([seed])
    return spec.create(nnx.Rngs(seed))


class Network(Protocol):
    """What is asked of a network: hashable, a `Model` or several as one (`gift_jax.teachers.committee`)."""

    @property
    def input_shape(self) -> tuple[int, int, int]: ...  # noqa: D102

    def apply(  # noqa: D102
        self, params: Variables, batch_stats: Variables, images: jax.Array
    ) -> tuple[jax.Array, Variables]: ...

    def cast(self, params: Variables, dtype: jnp.dtype) -> Variables: ...  # noqa: D102


class Model(NamedTuple):
    """An architecture without its arrays: hashable, so that jitted functions over it are shared."""

    spec: ModelSpec
    graphdef: nnx.GraphDef

    def apply(
        self,
        params: Variables,
        batch_stats: Variables,
        images: jax.Array,
        *,
        train: bool = False,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Variables]:
        """Run the network. Args: images, float [B, H, W, C], normalised; key, of dropout, none without it.

        Returns: logits [B, num_classes] and the new BatchNorm statistics (the same ones unless train).
        """
        module = self.merge(params, batch_stats)
        logits = module(images, train=train, key=key)
        return logits, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def merge(self, params: Variables, batch_stats: Variables) -> Any:
        """The NNX module of these arrays, which it may replace but does not change."""
        # NNX writes into a NumPy array in place, and the caller's would be changed with it.
        params, batch_stats = jax.tree.map(jnp.asarray, (params, batch_stats))
        return nnx.merge(self.graphdef, params, batch_stats, copy=True)

    def cast(self, params: Variables, dtype: jnp.dtype) -> Variables:
        """The weights in the precision of a network's arithmetic, but for those of norms, which keep their own."""
        norms = _norm_paths(self.spec)
        return jax.tree.map_with_path(
            lambda path, leaf: leaf if tuple(key.key for key in path[:-1]) in norms else leaf.astype(dtype), params
        )

    def init(self, key: jax.Array) -> tuple[Variables, Variables]:
        """Draw (params, batch_stats) from PyTorch's initial distribution; jitted, once an architecture."""
        return _jitted_init(self.spec)(key)

    def abstract(self) -> tuple[Variables, Variables]:
        """Shapes and dtypes of (params, batch_stats), without memory."""
        return split_arrays(_abstract_module(self.spec))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return (self.spec.image_size, self.spec.image_size, self.spec.channels)


@functools.lru_cache
def get_model(spec: ModelSpec) -> Model:
    """The architecture of a spec as pure functions. Raises: GiftError for an unknown name or option."""
    return Model(spec, nnx.graphdef(_abstract_module(spec)))


@functools.lru_cache
def _abstract_module(spec: ModelSpec) -> nnx.Module:
    return nnx.eval_shape(lambda: spec.create(nnx.Rngs(0)))


@functools.lru_cache
def _norm_paths(spec: ModelSpec) -> frozenset[tuple[Any, ...]]:
    return frozenset(path for path, part in nnx.iter_modules(_abstract_module(spec)) if isinstance(part, Norm))


@cached_factory
def _jitted_init(spec: ModelSpec) -> Callable[[jax.Array], tuple[Variables, Variables]]:
    def init(key: jax.Array) -> tuple[Variables, Variables]:
        return split_arrays(spec.create(nnx.Rngs(key)))

    return jax.jit(init)


def split_arrays(module: nnx.Module) -> tuple[Variables, Variables]:
    """Take a module's (params, batch_stats) as plain nested dictionaries."""
    _, params, batch_stats = nnx.split(module, nnx.Param, nnx.BatchStat)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(batch_stats)


def fold(model: Model, params: Variables, batch_stats: Variables) -> tuple[Model, Variables]:
    """Fold BatchNorm into the convolutions, for inference. Returns: a model without statistics, its params."""
    # Not `merge`, which copies: folding replaces arrays and writes into none.
    module = nnx.merge(model.graphdef, params, batch_stats, copy=True)
    with np.errstate(over="ignore", invalid="ignore"):  # of absurd weights, whose logits then tell
        fold_batch_norm(module)
    return Model(model.spec, nnx.graphdef(module)), jax.tree.map(jnp.asarray, split_arrays(module)[0])
