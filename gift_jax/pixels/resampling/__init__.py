"""Pixels moved about and levels replaced: the same functions in two forms, of which the platform decides.

`gathers` looks each pixel up, which CPUs and GPUs do well. On TPUs a gather moves pixel by pixel: there `products`
multiplies by matrices of ones and zeros, and `shears` shifts whole arrays. docs/accelerators.md has the figures.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

from gift_jax.pixels.resampling import gathers, products, shears
from gift_jax.runtime.compiling import platform

Function = TypeVar("Function", bound=Callable[..., jax.Array])


def _on_tpus(other: Function, gather: Function, *, square: bool = False) -> Function:
    """The one form on TPUs, where it is of square images for those alone, and the other elsewhere."""

    @functools.wraps(gather)
    def choose(images: jax.Array, *arguments: Any) -> jax.Array:
        usable = platform() == "tpu" and not (square and images.shape[1] != images.shape[2])
        return (other if usable else gather)(images, *arguments)

    return cast(Function, choose)


take_pixels = _on_tpus(products.take_pixels, gathers.take_pixels)
take_images = _on_tpus(products.take_images, gathers.take_images)
count_levels = _on_tpus(products.count_levels, gathers.count_levels)
replace_levels = _on_tpus(products.replace_levels, gathers.replace_levels)
rotate = _on_tpus(shears.rotate, gathers.rotate, square=True)
map_nearest = _on_tpus(shears.map_nearest, gathers.map_nearest, square=True)
map_smoothly = _on_tpus(shears.map_smoothly, gathers.map_smoothly, square=True)
