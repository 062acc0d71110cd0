"""Options of a command line, read off a function or a frozen dataclass: their groups, choices, help and example.

tyro reads and checks them. What it does not do by itself is done here: names to choose from are listed, options come
in groups, lists of numbers and names may be written with commas, and an option without a default shows no `None`.
"""

import dataclasses
import functools
import importlib
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import docstring_parser
import tyro

# Which group of the help an option is shown in; any other one is in the first.
_TRAINING = """loss losses criterion_name hard_share recipe optimizer optimizers learning_rate rates schedule epochs
batch_size max_steps precision seed seeds weight_decay"""
_WHERE = "out data train_data test_data class_order distilled teacher soft_labels write_class_order"
_MACHINE = "devices hosts jobs shard resume save_minutes dry_run retry_failed tensorboard"
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        name: group
        for group, names in {"training": _TRAINING, "where": _WHERE, "machine": _MACHINE}.items()
        for name in names.split()
    }
)
FIRST_GROUP = "what"
MOST_UNGROUPED = 8  # options that need no groups


@dataclasses.dataclass(frozen=True)
class Choices:
    """Marks an option whose values are the names in a table, such as `gift_jax.losses:LOSSES`, and further ones.

    The table is read when help is asked for, so that a command line need not import it. The command itself refuses
    other names. reader: a function of a module, named likewise, that makes a name of what was given.
    """

    table: str
    further: tuple[str, ...] = ()
    reader: str | None = None

    def names(self) -> tuple[str, ...]:
        """The names in the table's order, then the further ones."""
        return (*_load(self.table), *self.further)

    def read(self, text: str) -> str:
        """The name that a text stands for."""
        return _load(self.reader)(text) if self.reader else text


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


Loss = Annotated[str, Choices("gift_jax.losses:LOSSES")]
OptimizerName = Annotated[str, Choices("gift_jax.optim:OPTIMIZERS", ("lion", "lamb", "..."))]
ComparedName = Annotated[str, Choices("gift_jax.optim:COMPARED")]
ModelName = Annotated[str, Choices("gift_jax.models:MODELS")]
Dataset = Annotated[
    str, Choices("gift_jax.data.datasets:DATASETS", ("NAME of your own",), "gift_jax.data.datasets:name_of")
]
RecipeName = Annotated[str, Choices("gift_jax.recipes:RECIPES")]


class Parameter(NamedTuple):
    """One parameter of a command: default is `inspect.Parameter.empty` if it must be given."""

    name: str
    annotation: Any
    default: Any
    positional_only: bool


class Command(NamedTuple):
    """A function as a command line: tyro parses `form`, and `call` hands what it parsed to the function."""

    form: type
    call: Callable[[Any], Any]
    description: str
    example: str | None


def make_command(function: Callable[..., Any], *, with_choices: bool = False) -> Command:
    """Read a command off a function of options, or off one of a single dataclass whose fields are the options.

    Args: with_choices, whether tables of names are imported for the help.
    """
    parameters, build = _parameters(function)
    texts = _help_texts(function, parameters.values())
    options = [option for option in parameters.values() if not _is_positional(option)]
    grouped = len(options) > MOST_UNGROUPED
    fields, groups = [], dict[str, list[Any]]()
    for parameter in parameters.values():
        own = _is_positional(parameter) or not grouped
        field = _field(parameter, texts.get(parameter.name, ""), with_choices, prefix=own)
        group = GROUPS.get(parameter.name, FIRST_GROUP)
        (fields if own else groups.setdefault(group, [])).append(field)
    order = dict.fromkeys([FIRST_GROUP, *GROUPS.values()])
    fields += [_group(name, groups[name]) for name in order if name in groups]
    text, example = _introduction(function)
    form = dataclasses.make_dataclass("Options", fields, kw_only=True)
    form.__doc__ = text
    return Command(form, lambda parsed: build(_flat(parsed)), text, example)


def _group(name: str, fields: Sequence[tuple[str, Any, Any]]) -> tuple[str, Any, Any]:
    group = dataclasses.make_dataclass(name, fields, kw_only=True)
    return (name, Annotated[group, tyro.conf.arg(help="")], dataclasses.field())


def _flat(parsed: Any) -> dict[str, Any]:
    """The values of a form and of its groups, by option."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        values |= _flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def _parameters(function: Callable[..., Any]) -> tuple[dict[str, Parameter], Callable[[dict[str, Any]], Any]]:
    """A command's options by name, and how it is called with their values."""
    bound = function.keywords if isinstance(function, functools.partial) else {}
    plain = function.func if isinstance(function, functools.partial) else function
    hints = typing.get_type_hints(plain, include_extras=True)
    found = {
        name: Parameter(name, hints.get(name, str), parameter.default, parameter.kind is parameter.POSITIONAL_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in bound
    }
    config = next(iter(found.values())).annotation if len(found) == 1 else None
    if isinstance(config, type) and dataclasses.is_dataclass(config):
        hints = typing.get_type_hints(config, include_extras=True)
        fields = {field.name: field for field in dataclasses.fields(config)}
        return (
            {name: Parameter(name, hints[name], _default(field), False) for name, field in fields.items()},
            lambda values: function(config(**values)),
        )
    first = [name for name, parameter in found.items() if parameter.positional_only]
    return found, lambda values: function(*[values.pop(name) for name in first], **values)


def _default(field: dataclasses.Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def _field(parameter: Parameter, text: str, with_choices: bool, *, prefix: bool) -> tuple[str, Any, Any]:
    """The parameter as a field for `dataclasses.make_dataclass`, in tyro's terms."""
    name, annotation, default, positional_only = parameter
    hint = "" if default is None or default == () else None
    # Python's own words end in an underscore, as `for_` does.
    spelt = name.removesuffix("_") if name.endswith("_") else None
    argument = tyro.conf.arg(name=spelt, prefix_name=None if prefix else False, help=text, help_behavior_hint=hint)
    if not _is_positional(parameter) and (constructor := _constructor(name, annotation, with_choices)):
        annotation = Annotated[annotation, constructor]
    if positional_only:
        annotation = tyro.conf.Positional[annotation]
    given = dataclasses.field() if default is inspect.Parameter.empty else dataclasses.field(default=default)
    return (name, Annotated[annotation, argument], given)


def _is_positional(parameter: Parameter) -> bool:
    return parameter.positional_only or "Positional" in repr(parameter.annotation)


class Kind(NamedTuple):
    """How one value of a type is shown and read."""

    metavar: str
    read: Callable[[str], Any]


KINDS: Mapping[type, Kind] = MappingProxyType(
    {int: Kind("INT", int), float: Kind("FLOAT", float), str: Kind("STR", str), Path: Kind("PATH", Path)}
)


def _constructor(name: str, annotation: Any, with_choices: bool) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """How tyro reads an option: one value or several, None left to the default; None where tyro's own way serves."""
    plain = _without_none(annotation)
    inner, several = _inner(plain)
    if (kind := _kind(inner, with_choices)) is None:
        return None
    option = f"--{name.removesuffix('_').replace('_', '-')}"

    def read(text: str) -> Any:
        try:
            return kind.read(text)
        except ValueError:
            raise ValueError(f"{option} takes {kind.metavar}, not {text!r}") from None

    def read_all(texts: list[str]) -> tuple[Any, ...]:
        parts = texts if inner in (str, Path) else [part for text in texts for part in text.split(",") if part]
        return tuple(read(part) for part in parts)

    def shown(value: Any) -> list[str]:
        return [] if value is None else [str(item) for item in (value if several else [value])]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=f"{kind.metavar} ..." if several else kind.metavar,
        instance_from_str=read_all if several else lambda texts: read(texts[0]),
        is_instance=lambda value: True,
        str_from_instance=shown,
    )


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None`, else the annotation."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return next(part for part in typing.get_args(annotation) if part is not types.NoneType)
    return annotation


def _inner(annotation: Any) -> tuple[Any, bool]:
    """`(X, True)` of `tuple[X, ...]`, else the annotation and False."""
    return (typing.get_args(annotation)[0], True) if typing.get_origin(annotation) is tuple else (annotation, False)


def _kind(annotation: Any, with_choices: bool) -> Kind | None:
    if typing.get_origin(annotation) is Literal:
        return _choice(typing.get_args(annotation))
    if typing.get_origin(annotation) is Annotated:
        base, *marks = typing.get_args(annotation)
        choices = next((mark for mark in marks if isinstance(mark, Choices)), None)
        metavar = "{" + ",".join(choices.names()) + "}" if choices and with_choices else KINDS[base].metavar
        return Kind(metavar, choices.read if choices else KINDS[base].read)
    return KINDS.get(annotation)


def _choice(names: Sequence[str]) -> Kind:
    """One of some words, and no other."""

    def read(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return Kind("{" + ",".join(names) + "}", read)


def _help_texts(function: Callable[..., Any], parameters: Iterable[Parameter]) -> dict[str, str]:
    """Help by option: `Args:` of the function, or of its dataclass and the classes that one extends."""
    plain = function.func if isinstance(function, functools.partial) else function
    hints = [hint for hint in typing.get_type_hints(plain).values() if dataclasses.is_dataclass(hint)]
    sources = [plain, *(base for hint in hints for base in reversed(inspect.getmro(hint)))]  # type: ignore[arg-type]
    return {
        entry.arg_name: re.sub(r"\s+", " ", entry.description or "")
        for source in sources
        for entry in docstring_parser.parse(source.__doc__ or "").params
    }


def _introduction(function: Callable[..., Any]) -> tuple[str, str | None]:
    """What a command does, in a paragraph, and an example: told by its module if it is `main`, else by itself."""
    plain = function.func if isinstance(function, functools.partial) else function
    module = sys.modules.get(plain.__module__)
    document = (module and inspect.getdoc(module) if plain.__name__ == "main" else inspect.getdoc(plain)) or ""
    example = re.search(r"(?:Command|Example): `([^`]+)`", document)
    return document.split("\n\n")[0], re.sub(r"\s+", " ", example[1]) if example else None
