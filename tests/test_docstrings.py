"""What a reader of a docstring needs: shapes, units, errors and source, of every public name and of its methods.

The rules follow from signatures and source code, so that a new name of `gift_jax.__all__`, a new loss or a new recipe
falls under them by itself.
"""

import ast
import functools
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator

import jax
import numpy as np
import pytest

import gift_jax
from gift_jax.losses import LOSSES
from gift_jax.recipes import RECIPES

SHAPE = r"(?:\[[^\]]*\]|\(H, W, C\)|\(height, width, channels\))"
# What the name of a parameter, field or property measures, and the word that says so.
UNITS = {
    r"(image|input|convnet)_size": "pixel",
    r"top[15]_.*|accuracy": "percent",
    r".*seconds?": "second",
    r"minutes": "minute",
    r"ipc": "images a class",
}
# Published work that is implemented; losses and recipes besides.
PUBLISHED = ("Optimizer", "RDED", "Recipe", "Schedule", "make_recipe", "refine_labels", "synthesize")


def plain(thing: object) -> typing.Any:
    """The function behind decorators, caches and properties."""
    if isinstance(thing, property):
        thing = thing.fget
    if isinstance(thing, functools.cached_property):
        thing = thing.func
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    return inspect.unwrap(typing.cast(Callable[..., object], thing))


def members(owner: type) -> Iterator[tuple[str, typing.Any]]:
    """Public methods and properties that the class itself defines."""
    for name, member in vars(owner).items():
        kinds = (property, functools.cached_property, classmethod, staticmethod)
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, kinds)):
            yield name, plain(member)


def public() -> Iterator[tuple[str, typing.Any]]:
    """Public functions and classes, methods of the latter, and losses."""
    for name in gift_jax.__all__:
        thing = getattr(gift_jax, name)
        if inspect.isclass(thing):
            yield name, thing
            yield from ((f"{name}.{member}", value) for member, value in members(thing))
        elif callable(thing):
            yield name, plain(thing)
    yield from ((f"LOSSES[{name}]", function) for name, function in LOSSES.items())


PUBLIC = dict(public())
every_public_name = pytest.mark.parametrize("name", PUBLIC)


def document(thing: object) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def parameters(thing: typing.Any) -> dict[str, object]:
    """Annotations by parameter, for a class by field; `return` among them."""
    if inspect.isclass(thing) and not hasattr(thing, "__annotations__"):
        return {}
    return {name: hint for name, hint in typing.get_type_hints(thing).items() if not name.startswith("_")}


def is_array(hint: object) -> bool:
    return hint in (jax.Array, np.ndarray) or any(map(is_array, typing.get_args(hint)))


def section(text: str, title: str) -> str:
    """From `Title:` to the next one."""
    found = re.search(rf"\b{title}:(.*?)(?=\b(?:Args|Returns|Raises|Reference|Source):|\Z)", text, re.DOTALL)
    return found[1] if found else ""


@every_public_name
def test_a_summary_of_one_line(name):
    text = document(PUBLIC[name])
    assert text, "has no docstring"
    assert not text.startswith(f"{name}("), "has the docstring that dataclasses make"
    first, _, rest = text.partition("\n")
    assert first.endswith("."), f"the first line is no sentence: {first}"
    assert not rest or rest.startswith("\n"), "the first line and the rest are not apart"


@every_public_name
def test_shapes_of_arrays(name):
    text = document(PUBLIC[name])
    for parameter, hint in parameters(PUBLIC[name]).items():
        # A random key is an array without a shape to tell.
        if parameter in ("return", "key") or not is_array(hint):
            continue
        assert re.search(rf"\b{parameter}\b[^.;]*{SHAPE}", text), f"{parameter}: what shape?"


@every_public_name
def test_shapes_of_results(name):
    if inspect.isclass(PUBLIC[name]) or not is_array(parameters(PUBLIC[name]).get("return")):
        return
    text = document(PUBLIC[name])
    assert re.search(SHAPE, section(text, "Returns") or text.partition("\n")[0]), "what shape has the result?"


def own(function: object) -> bool:
    return (inspect.isfunction(function) or inspect.isclass(function)) and function.__module__.startswith("gift_jax")


def resolved(node: ast.expr, function: typing.Any, owner: type | None) -> object:
    """What a name, an attribute of a module, or a method of self stands for in a function; None if that is not told."""
    if isinstance(node, ast.Name):
        return function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id == "self" and owner:
            return inspect.getattr_static(owner, node.attr, None)
        return getattr(function.__globals__.get(node.value.id), node.attr, None)
    return None


def owner_of(function: typing.Any) -> type | None:
    parts = function.__qualname__.split(".")
    return getattr(sys.modules[function.__module__], parts[-2], None) if len(parts) == 2 else None


@functools.cache
def raises(function: typing.Any, seen: frozenset[object] = frozenset()) -> bool:
    """Whether a function, or one of ours that it calls by name, raises GiftError (or a kind of it)."""
    if inspect.isclass(function):
        checked = vars(function).get("__post_init__") or vars(function).get("__init__")
        if not inspect.isfunction(checked) or checked.__module__ != function.__module__:
            return False
        function = checked
    if function in seen or not hasattr(function, "__globals__"):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # made, not written
        return False
    owner = owner_of(function)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc:
            error = resolved(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, function, owner)
            if inspect.isclass(error) and issubclass(error, gift_jax.GiftError):
                return True
        if isinstance(node, ast.Call) and (called := resolved(node.func, function, owner)):
            target = called if inspect.isclass(called) else plain(called) if callable(called) else None
            if own(target) and raises(target, seen | {function}):
                return True
    return False


@every_public_name
def test_errors(name):
    if name != "GiftError" and raises(PUBLIC[name]):
        assert "Raises:" in document(PUBLIC[name]), "raises GiftError, itself or by what it calls, and does not say so"


@every_public_name
def test_units(name):
    thing, text = PUBLIC[name], document(PUBLIC[name]).lower()
    names = parameters(thing) if inspect.isclass(thing) else [*parameters(thing), name.rpartition(".")[2]]
    for measured in names:
        for pattern, unit in UNITS.items():
            if re.fullmatch(pattern, measured):
                assert unit in text, f"{measured}: of what unit? The docstring does not say {unit}"


@pytest.mark.parametrize("name", [*PUBLISHED, *(f"LOSSES[{name}]" for name in LOSSES)])
def test_published_work_names_its_source(name):
    assert re.search(r"\b(Reference|Source):", document(PUBLIC[name])), "where was it published?"


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_their_source(name):
    assert "Reference:" in document(sys.modules[RECIPES[name].__module__])


def test_the_rules_see_what_they_are_about():
    assert raises(PUBLIC["load_teacher"])
    assert raises(PUBLIC["synthesize"])  # by what it calls
    assert raises(PUBLIC["Optimizer"])  # when it is made
    assert not raises(PUBLIC["setting_of"])
    assert is_array(jax.Array | np.ndarray | None)
    assert is_array(tuple[jax.Array, int])
    assert not is_array(Callable[[int], int])
    assert "Teacher.logits" in PUBLIC
    assert {"images", "soft_labels"} <= {
        name for name, hint in parameters(PUBLIC["DistilledSet"]).items() if is_array(hint)
    }
