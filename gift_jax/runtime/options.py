"""Options of a command line, read off a function or a frozen dataclass, for tyro to show and parse.

What tyro does not do by itself is done here: names to choose from are listed, options come in groups, lists may be
written with commas, a default of None is not shown, and what was given is checked before anything is loaded.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import itertools
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import docstring_parser
import tyro

from gift_jax.errors import GiftError, unknown_name
from gift_jax.runtime import unimported
from gift_jax.runtime.files import check_links


@dataclasses.dataclass(frozen=True)
class Choices:
    """Marks an option whose values are the names in a table, such as `gift_jax.losses:LOSSES`, and further ones.

    Others are refused, unless the command knows more of them. reader: a function of a module, named as the table is,
    that makes a name of what was given.
    """

    table: str
    further: tuple[str, ...] = ()
    reader: str | None = None
    has_others: bool = False

    def names(self) -> tuple[str, ...]:
        """The names in the table's order, then the further ones."""
        module, name = self.table.split(":")
        return (*unimported.keys(module, name), *self.further)

    def read(self, text: str, option: str) -> str:
        """The name that a text stands for. Raises: GiftError if it is none of those that an option takes."""
        if self.reader:
            module, name = self.reader.split(":")
            return getattr(importlib.import_module(module), name)(text)
        names = self.names()
        if not self.has_others and text not in names:
            raise unknown_name(f"{option}:", text, names)
        return text.lower() if text not in names and text.lower() in names else text


@dataclasses.dataclass(frozen=True)
class Existing:
    """Marks an option that names a file or directory, which is looked for before the command is called.

    unless: a pattern of what else may be given, such as a set on the Hub.
    """

    unless: str = r"hf:/.*"


@dataclasses.dataclass(frozen=True)
class Least:
    """Marks an option whose numbers are at least, and at most, so much: on the command line and for `check_numbers`."""

    number: int
    most: float = math.inf

    def check(self, value: float, option: str) -> None:
        """Raises: GiftError if a value is less, or more."""
        if value < self.number:
            raise GiftError(f"{option} must be {self.number} or more, not {value:g}")
        if value > self.most:
            raise GiftError(f"{option} must be {self.most} or less, not {value}")


@dataclasses.dataclass(frozen=True)
class Alias:
    """Marks an option that has another name, too."""

    name: str


@dataclasses.dataclass(frozen=True)
class InPlaceOf:
    """Marks an option that says what another one says, so that only one of them is given."""

    name: str


@dataclasses.dataclass(frozen=True)
class ReadAs:
    """Marks an option of several values that a function makes of the texts that were given."""

    read: Callable[[list[str]], tuple[Any, ...]]


def read_seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """Seeds as listed; one number above 0 alone is how many there are, as studies took it at first."""
    parts = [part for text in texts for part in text.split(",") if part]
    if not all(part.isdecimal() for part in parts):
        raise GiftError(f"--seeds takes numbers from 0, not {' '.join(texts)!r}")
    seeds = tuple(map(int, parts))
    if len(seeds) != 1 or seeds == (0,):
        return seeds
    print(f"warning: --seeds {seeds[0]} is read as --num-seeds {seeds[0]}; --seeds lists several", file=sys.stderr)
    return tuple(range(seeds[0]))


Count = Annotated[int, Least(1, 2**31 - 1)]  # as counters on devices have it
NonNegative = Annotated[float, Least(0)]
Percent = Annotated[float, Least(0, 100)]
Seed = Annotated[int, Least(0)]
Source = Annotated[Path, Existing()]
Loss = Annotated[str, Choices("gift_jax.losses:LOSSES")]
Losses = Annotated[tuple[Loss, ...], Alias("loss")]
OptimizerName = Annotated[str, Choices("gift_jax.optim.pytorch:OPTIMIZERS", ("lion", "lamb", "..."), has_others=True)]
ComparedName = Annotated[str, Choices("gift_jax.optim.settings:COMPARED")]
ModelName = Annotated[str, Choices("gift_jax.models:MODELS")]
Dataset = Annotated[
    str,
    Choices("gift_jax.data.datasets:DATASETS", ("NAME of your own",), "gift_jax.data.datasets:resolve_dataset_name"),
]
SeedList = Annotated[tuple[int, ...], ReadAs(read_seeds), InPlaceOf("num_seeds")]
RecipeName = Annotated[str, Choices("gift_jax.recipes:RECIPES")]


class Parameter(NamedTuple):
    """One parameter of a command: default is `inspect.Parameter.empty` if it must be given."""

    name: str
    annotation: Any
    default: Any

    @property
    def option(self) -> str:
        """How it is given. Python's own words end in an underscore, as `for_` does."""
        return f"--{self.name.removesuffix('_').replace('_', '-')}"

    @property
    def is_positional(self) -> bool:
        """Whether it is given without a name."""
        return "Positional" in repr(self.annotation)

    @property
    def is_required(self) -> bool:
        """Whether it is an option that must be given."""
        return self.default is inspect.Parameter.empty and not self.is_positional

    def marks(self, kind: type) -> list[Any]:
        """What it is marked with, of a kind."""
        return [mark for mark in _marks(self.annotation) if isinstance(mark, kind)]


class Command(NamedTuple):
    """A function as a command line: tyro parses `form`, and `call` hands what it parsed to the function."""

    form: type
    call: Callable[[Any], Any]
    description: str
    example: str | None
    parameters: Mapping[str, Parameter]

    @property
    def options(self) -> dict[str, str]:
        """Every option by its spelling, `--no-` and other names included, and the argument that it is."""
        given: dict[str, str] = {}
        for name, parameter in self.parameters.items():
            spelt = [parameter.option, *(f"--{alias.name}" for alias in parameter.marks(Alias))]
            given |= dict.fromkeys(spelt, name)
            if parameter.annotation is bool:
                given[f"--no-{parameter.option[2:]}"] = name
        return given

    def check_files(self, parsed: Any) -> None:
        """Raises: GiftError if an option names a file that is not there; defaults are the command's to look for."""
        values = _flat(parsed)
        for parameter in self.parameters.values():
            given = values[parameter.name]
            paths = () if given in (None, parameter.default) else given if isinstance(given, tuple) else (given,)
            for path, mark in itertools.product(paths, parameter.marks(Existing)):
                if re.fullmatch(mark.unless, str(path)) or (place := Path(path)).is_file() or place.is_dir():
                    continue
                check_links(place)
                what = "is a pipe, a socket or a device" if place.exists() else "there is no such file or directory"
                label = parameter.name.upper() if parameter.is_positional else parameter.option
                raise GiftError(f"{path}: {what}; check {label}")


def make_command(
    function: Callable[..., Any], *, with_choices: bool = False, about: str | None = None, arguments: Sequence[str] = ()
) -> Command:
    """Read a command off a function of options, or off one of a single dataclass whose fields are the options.

    A class of options is a command that returns them. By `GROUPS`, names by group, a dataclass says how they are shown;
    those that are in no group are in the first. By `DEFAULTS`, values by option by dataset, or by dataset and model
    with a space between them, it says which defaults differ with `--dataset` and `--model`.

    Args:
        function: what is called, with its docstring.
        with_choices: whether names to choose from are listed.
        about: what to say of it, by default its docstring, or its module's if it is `main`.
        arguments: those of the command line, of which dataset and model are read.
    """
    parameters, build, owner = _parameters(function)
    for name, value in _by_dataset(parameters, getattr(owner, "DEFAULTS", {}), arguments).items():
        parameters[name] = parameters[name]._replace(default=value)
    plain = function.func if isinstance(function, functools.partial) else function
    sources = (plain, *reversed(getattr(owner, "__mro__", ())))
    entries = (entry for source in sources for entry in docstring_parser.parse(source.__doc__ or "").params)
    texts = {entry.arg_name: re.sub(r"\s+", " ", entry.description or "") for entry in entries}
    named: Mapping[str, str] = getattr(owner, "GROUPS", {})
    group_of = {name: group for group, names in named.items() for name in names.split()}
    fields: list[Any] = []
    groups: dict[str, list[Any]] = {group: [] for group in named}
    for parameter in parameters.values():
        field = _field(parameter, texts.get(parameter.name, ""), with_choices)
        grouped = named and not parameter.is_positional
        (groups[group_of.get(parameter.name, next(iter(named)))] if grouped else fields).append(field)
    fields += [_group(name, members) for name, members in groups.items() if members]
    text, example = _introduction(plain, about)
    form = dataclasses.make_dataclass("Options", fields, kw_only=True)
    form.__doc__ = text
    return Command(form, lambda parsed: build(_flat(parsed)), text, example, parameters)


def _by_dataset(
    parameters: Mapping[str, Parameter], table: Mapping[str, Mapping[str, Any]], arguments: Sequence[str]
) -> Mapping[str, Any]:
    """The defaults of the dataset that a command line names, and of the model with it, by option."""
    if not table:
        return {}
    given = [part for text in arguments for part in text.split("=", 1)]
    dataset, model = (_named(parameters[name], given) for name in ("dataset", "model"))
    return {
        **({"dataset": dataset} if dataset else {}),
        **table.get(dataset, {}),
        **table.get(f"{dataset} {model}", {}),
    }


def _named(parameter: Parameter, given: Sequence[str]) -> str:
    """The name that a command line gives, or the default; "" if there is neither."""
    if parameter.option in given[:-1]:
        text = given[given.index(parameter.option) + 1]
        with contextlib.suppress(GiftError):  # which is told when the option is parsed
            [choices] = parameter.marks(Choices)
            return choices.read(text, parameter.option)
        return text
    return "" if parameter.is_required else parameter.default


def _group(name: str, fields: list[Any]) -> tuple[str, Any, Any]:
    group = dataclasses.make_dataclass(name, fields, kw_only=True)
    return (name, Annotated[group, tyro.conf.arg(help="")], dataclasses.field())


def _flat(parsed: Any) -> dict[str, Any]:
    """The values of a form and of its groups, by option."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        values |= _flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def _parameters(
    function: Callable[..., Any],
) -> tuple[dict[str, Parameter], Callable[[dict[str, Any]], Any], type | None]:
    """A command's options by name, how it is called with their values, and their dataclass."""
    plain, bound = (function.func, function.keywords) if isinstance(function, functools.partial) else (function, {})
    hints, signature = typing.get_type_hints(plain, include_extras=True), inspect.signature(function)
    found = {
        name: Parameter(name, hints.get(name, str), parameter.default)
        for name, parameter in signature.parameters.items()
        if name not in bound
    }
    config = next(iter(found.values())).annotation if len(found) == 1 else None
    if isinstance(config, type) and dataclasses.is_dataclass(config):
        parameters, build, _ = _parameters(config)
        return parameters, lambda values: function(build(values)), config
    owner = function if isinstance(function, type) else None
    first = [name for name, parameter in signature.parameters.items() if parameter.kind is parameter.POSITIONAL_ONLY]
    return found, lambda values: function(*[values.pop(name) for name in first], **values), owner


def _field(parameter: Parameter, text: str, with_choices: bool) -> tuple[str, Any, Any]:
    """The parameter as a field for `dataclasses.make_dataclass`, in tyro's terms."""
    argument = tyro.conf.arg(
        name=parameter.option[2:] if parameter.name.endswith("_") else None,
        prefix_name=None if parameter.is_positional else False,
        help=text,
        help_behavior_hint="" if parameter.default is None or parameter.default == () else None,
        aliases=[f"--{alias.name}" for alias in parameter.marks(Alias)] or None,
    )
    annotation = parameter.annotation
    if constructor := _constructor(parameter, with_choices):
        annotation = Annotated[annotation, constructor]
    default = dataclasses.MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    return (parameter.name, Annotated[annotation, argument], dataclasses.field(default=default))


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


READERS: Mapping[type, tuple[str, Callable[[str], Any]]] = MappingProxyType(
    {int: ("INT", int), float: ("FLOAT", _finite), str: ("STR", str), Path: ("PATH", Path)}
)
"""How one value of a type is shown and read. No option means anything by NaN or infinity."""


def _constructor(parameter: Parameter, with_choices: bool) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """How tyro reads an option: one value or several, None left to the default; None where tyro's own way serves."""
    plain, several = _plain(parameter.annotation)
    names = typing.get_args(plain) if typing.get_origin(plain) is Literal else ()
    if not names and plain not in READERS:
        return None
    metavar, read_plain = ("{" + ",".join(names) + "}", str) if names else READERS[plain]
    choices, whole = (next(iter(parameter.marks(kind)), None) for kind in (Choices, ReadAs))
    shown = "{" + ",".join(choices.names()) + "}" if choices and with_choices else metavar

    def read(text: str) -> Any:
        try:
            value = choices.read(text, parameter.option) if choices else read_plain(text)
            if names and value not in names:
                raise ValueError(text)
        except ValueError:
            raise GiftError(f"{parameter.option} takes {metavar}, not {text!r}") from None
        for least in parameter.marks(Least):
            least.check(value, parameter.option)
        return value

    def read_all(texts: list[str]) -> tuple[Any, ...]:
        if whole:
            return whole.read(texts)
        if plain in (str, Path) and not choices:
            return tuple(map(read, texts))
        return tuple(read(part) for text in texts for part in text.split(",") if part)

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*" if several else 1,
        metavar=f"{shown} ..." if several else shown,
        instance_from_str=read_all if several else lambda texts: read(texts[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: (
            [] if value is None else [str(item) for item in (value if several else [value])]
        ),
    )


def check_numbers(config: Any) -> None:
    """Raises: GiftError if an option of a dataclass, which may have been made in Python, is out of its range."""
    parameters, _, _ = _parameters(type(config))
    for parameter in parameters.values():
        given = getattr(config, parameter.name)
        for value, least in itertools.product(given if isinstance(given, tuple) else (given,), parameter.marks(Least)):
            if value is not None:
                least.check(value, parameter.option)


def _marks(annotation: Any) -> Iterator[Any]:
    """What `Annotated` says of a type, and of the types inside it."""
    if typing.get_origin(annotation) is Annotated:
        yield from typing.get_args(annotation)[1:]
    if typing.get_origin(annotation) is not Literal:
        for part in typing.get_args(annotation):
            yield from _marks(part)


def _plain(annotation: Any) -> tuple[Any, bool]:
    """`X` of `X | None` and of `Annotated[X, ...]`; and of `tuple[X, ...]`, with True."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _plain(parts[0])
    if origin in (types.UnionType, typing.Union):
        return _plain(next(part for part in parts if part is not types.NoneType))
    return (_plain(parts[0])[0], True) if origin is tuple else (annotation, False)


def _introduction(plain: Callable[..., Any], about: str | None) -> tuple[str, str | None]:
    """What a command does, in a paragraph, and an example."""
    module = sys.modules.get(plain.__module__) if plain.__name__ == "main" else None
    document = about or inspect.getdoc(module or plain) or ""
    example = re.search(r"(?:Command|Example): `([^`]+)`", document)
    return document.split("\n\n")[0], re.sub(r"\s+", " ", example[1]) if example else None


def check_once(config: Any) -> None:
    """Raises: GiftError if an option that lists names has one of them twice."""
    for option, values in vars(config).items():
        names = values if isinstance(values, tuple) else ()
        if twice := [name for name in names if isinstance(name, str) and names.count(name) > 1]:
            raise GiftError(f"--{option.replace('_', '-')}: {twice[0]} is given twice; give each once")
