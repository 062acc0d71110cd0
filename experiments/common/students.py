"""Students as the command line names them: an architecture, and options of its family."""

import contextlib

from gift_jax import GiftError
from gift_jax.models import Model, ModelSpec, get_model
from gift_jax.optim import OptionValue

Options = tuple[tuple[str, OptionValue], ...]


def parse_options(text: str, option: str) -> Options:
    """Read `name=value,...`, sorted by name. Raises: GiftError that names the option and what form it has."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if not all(key and value for key, _, value in pairs):
        raise GiftError(f"{option}: options {text!r} must be name=value,...; such as norm=instance,width=64")
    names = [key for key, _, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise GiftError(f"{option}: options {text!r} give {twice} twice; give it once")
    return tuple(sorted((key, _value(value)) for key, _, value in pairs))


def parse_student(text: str, teacher: ModelSpec) -> Model:
    """Read `name:option=value,...`; the teacher's options are kept within its family. Raises: GiftError on a misfit."""
    name, _, options = text.partition(":")
    family = name.rstrip("0123456789")
    inherited = dict(teacher.options) if family == teacher.name.rstrip("0123456789") else {}
    chosen = {**inherited, **dict(parse_options(options, "--students"))}
    sizes = (teacher.num_classes, teacher.image_size, teacher.channels)
    return get_model(ModelSpec(name, *sizes, tuple(sorted(chosen.items()))))


def _value(text: str) -> OptionValue:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
