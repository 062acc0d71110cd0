"""What a module's source says of options and of tables, without importing what the module needs, such as JAX.

Only those statements are run that a name depends on. Functions and foreign packages are placeholders in them.
"""

import ast
import contextlib
import copy
import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OWN = frozenset({"gift_jax", "convert", "experiments", "benchmarks"})
LIGHT = frozenset({*sys.stdlib_module_names, "tyro", "gift_jax.optim.settings", "gift_jax.runtime.options"})
"""Modules that are imported."""


class Placeholder:
    """Stands for what is not read, and for its attributes and results."""

    def __getattr__(self, name: str) -> "Placeholder":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> "Placeholder":
        """Whatever it is called with, nothing is done."""
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """A class that extends one extends nothing."""
        return ()


class Module:
    """Stands for a module of ours."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        return read(self.__name__, name)


def _path(module: str) -> Path:
    package, _, name = module.rpartition(".")  # which may lie elsewhere than what it is said to be inside of
    spec = importlib.util.find_spec(package or name)
    path = Path(((spec and spec.submodule_search_locations) or [""])[0], name if package else "")
    init = path / "__init__.py"  # not there where a package has become a module and left its cache
    return init if init.is_file() else path.with_suffix(".py")


@functools.cache
def parse(module: str) -> ast.Module:
    """The syntax tree of a module of ours. Raises: OSError if there is none of that name."""
    path = _path(module)
    stub = path.with_suffix(".pyi")  # of a package that loads its names when they are asked for
    return ast.parse((stub if stub.is_file() else path).read_text(encoding="utf-8"))


def options(module: str) -> tuple[type, str]:
    """The class of options that a module's `main` takes, and the module's docstring. Raises: as `read`."""
    main = next(part for part in parse(module).body if isinstance(part, ast.FunctionDef) and part.name == "main")
    return read(module, ast.unparse(main.args.args[0].annotation or main)), ast.get_docstring(parse(module)) or ""


def keys(module: str, name: str) -> tuple[str, ...]:
    """The keys of a table. The module is imported if the source does not tell them all."""
    with contextlib.suppress(Exception):
        found = tuple(read(module, name))
        if all(isinstance(key, str) for key in found):
            return found
    return tuple(getattr(importlib.import_module(module), name))


@functools.cache
def read(module: str, name: str) -> Any:
    """What a module calls by a name. Raises: LookupError if it does not say; and whatever its statements raise."""
    if module in LIGHT or module.partition(".")[0] in LIGHT:
        return getattr(importlib.import_module(module), name)
    if module.partition(".")[0] not in OWN:
        return Placeholder()
    for node in parse(module).body:
        match node:
            case ast.FunctionDef(name=bound) if bound == name:
                return Placeholder()
            case ast.ClassDef(name=bound) if bound == name:
                plain = copy.copy(node)
                plain.body = [part for part in node.body if not isinstance(part, ast.FunctionDef)] or [ast.Pass()]
                return _run(module, plain)[name]
            case ast.Assign(targets=targets) if name in re.findall(r"\w+", ast.unparse(targets[0])):
                return _run(module, node)[name]
            case ast.AnnAssign(target=ast.Name(id=bound), value=ast.expr() as value) if bound == name:
                return _run(module, ast.Assign([node.target], value))[name]
            case ast.Import(names=aliases) if name in [alias.asname or alias.name for alias in aliases]:
                return importlib.import_module(name) if name in LIGHT else Placeholder()
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if (alias.asname or alias.name) == name:
                        package = module if _path(module).name == "__init__.py" else module.rpartition(".")[0]
                        source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                        if source != module:  # as a package imports its own modules
                            return read(source, alias.name)
    if _path(f"{module}.{name}").is_file():
        return Module(f"{module}.{name}")
    raise LookupError(f"{module}.{name}")


def _run(module: str, node: ast.stmt) -> dict[str, Any]:
    """Run a statement; names that the module does not have are the statement's own. Returns: what it names."""
    space: dict[str, Any] = {"__name__": module}
    for name in {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}:
        with contextlib.suppress(LookupError):
            space[name] = read(module, name)
    exec(compile(ast.fix_missing_locations(ast.Module([node], [])), module, "exec"), space)
    return space
