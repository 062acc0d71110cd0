"""What ruff's rules of docstrings cannot say: arrays have shapes, and published work a source."""

import inspect
import re
import sys
import typing

import jax
import numpy as np
import pytest

import gift_jax
from gift_jax.losses import LOSSES
from gift_jax.recipes import RECIPES

SHAPE = r"(?:\[[^\]]*\]|\(H, W, C\)|\(height, width, channels\))"
# Published work that is implemented; losses and recipes besides.
PUBLISHED = ("Optimizer", "RDED", "Recipe", "Schedule", "make_recipe", "refine_labels", "synthesize")
PUBLIC = {name: thing for name in gift_jax.__all__ if callable(thing := getattr(gift_jax, name))}
PUBLIC |= {f"LOSSES[{name}]": loss for name, loss in LOSSES.items()}
every_public_name = pytest.mark.parametrize("name", PUBLIC)


def document(thing):
    return inspect.cleandoc(thing.__doc__ or "")


def parameters(thing):
    """Annotations by parameter, for a class by field; `return` among them."""
    thing = thing if inspect.isclass(thing) else inspect.unwrap(thing)
    return {name: hint for name, hint in typing.get_type_hints(thing).items() if not name.startswith("_")}


def is_array(hint):
    return hint in (jax.Array, np.ndarray) or any(map(is_array, typing.get_args(hint)))


@every_public_name
def test_shapes_of_arrays(name):
    text, result = document(PUBLIC[name]), "Returns" if "Returns:" in document(PUBLIC[name]) else ""
    for parameter, hint in parameters(PUBLIC[name]).items():
        # A random key is an array without a shape to tell.
        if parameter != "key" and is_array(hint):
            place = result if parameter == "return" else rf"\b{parameter}\b"
            assert re.search(rf"{place}[^.;]*{SHAPE}", text), f"{parameter}: what shape?"


@pytest.mark.parametrize("name", [*PUBLISHED, *(f"LOSSES[{name}]" for name in LOSSES)])
def test_published_work_names_its_source(name):
    assert re.search(r"\b(Reference|Source):", document(PUBLIC[name])), "where was it published?"


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_their_source(name):
    assert "Reference:" in document(sys.modules[RECIPES[name].__module__])
