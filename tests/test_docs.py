"""What the documents refer to is there: links, files, tests, commands with their options, names in Python blocks."""

import ast
import functools
import importlib
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import tyro

from convert.__main__ import COMMANDS
from experiments.report import EXPERIMENTS
from gift_jax.models import MODELS
from gift_jax.runtime.options import make_command

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
PLACES = "gift_jax|convert|experiments|benchmarks|tests|docs"
PATH = re.compile(rf"`((?:{PLACES})/[\w./*-]*)[^`]*`")
TEST = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`")
# A prompt, variables of the environment, SLURM, the place of the programs.
BEFORE = r"(?:\$ )?(?:\w+=\S* |srun (?:-\S+ )*)*(?:\.venv/bin/)?"
PROGRAM = re.compile(rf"^{BEFORE}(?:python -m (?=convert|experiments|gift_jax)|(?=gift-jax))(.*)")
PLACEHOLDER = re.compile(r"NAME|[*]|[.]{3}")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


class Block(NamedTuple):
    """A fenced block: what stands behind its first fence, and its text."""

    language: str
    text: str


def blocks(path):
    return [Block(*match.groups()) for match in FENCE.finditer(path.read_text(encoding="utf-8"))]


def prose(path):
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path):
    """The names by which GitHub links to a document's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path):
    for link in LINK.findall(prose(path)):
        if not re.match(r"https?:|mailto:", link):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if not target.exists() or (anchor and anchor not in anchors(target)):
                yield link


@each_document
def test_every_link_leads_somewhere(path):
    assert list(broken_links(path)) == []


@each_document
def test_every_file_is_there(path):
    named = [name for name in PATH.findall(prose(path)) if not PLACEHOLDER.search(name)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@functools.cache
def functions(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@each_document
def test_every_test_is_there(path):
    """`::test_name` alone is in the file that was named last."""
    file, missing = None, []
    for named, test in TEST.findall(prose(path)):
        file = named or file
        if test and not (file and (ROOT / file).is_file() and test in functions(ROOT / file)):
            missing.append(f"{file}::{test}")
    assert missing == []


def command_lines(path):
    """Command lines of this project in fenced blocks, in words: `convert teacher ...` or `experiments.NAME ...`."""
    for block in blocks(path):
        for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
            if match := PROGRAM.match(line.strip()):
                words = shlex.split(match[1], comments=True)
                yield words[: next((i for i, word in enumerate(words) if word in ("|", "&&", ">")), len(words))]


COMMAND_LINES = list({tuple(words): words for path in DOCUMENTS for words in command_lines(path)}.values())


def find_command(words):
    """The function that a command line calls, and its arguments; None if it only lists the commands."""
    program, *rest = words
    if program in ("gift-jax", "gift_jax"):
        if not rest or rest[0].startswith("-"):
            return None, []
        program, *rest = [rest[0] if rest[0] == "convert" else f"experiments.{rest[0]}", *rest[1:]]
    if program == "convert":
        return (COMMANDS[rest[0]], rest[1:]) if rest and not rest[0].startswith("-") else (None, [])
    if program == "experiments" or PLACEHOLDER.search(program):
        return None, []
    return importlib.import_module(program).main, rest


@pytest.mark.parametrize("words", COMMAND_LINES, ids=map(" ".join, COMMAND_LINES))
def test_every_command_line_can_be_typed(words):
    function, arguments = find_command(words)
    if function is None or {"-h", "--help"} & set(arguments):
        return
    command = make_command(function)
    given = [word.partition("=")[0].replace("_", "-") for word in arguments if word.startswith("--")]
    assert set(given) <= command.options.keys()
    if not any(word.endswith("...") for word in arguments):  # else some are left out
        tyro.cli(command.form, args=arguments)


def test_command_lines_are_found():
    assert len(COMMAND_LINES) > 20


def resolve(name):
    """A dotted name: a module, or what is in one. Raises: AttributeError or ImportError."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(resolve(module), attribute)


def own_names(tree):
    """Dotted names of this project that Python code imports, and attributes that it takes of `gift_jax`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gift_jax":
            yield f"gift_jax.{node.attr}"


@each_document
def test_python_blocks_compile_and_their_names_are_there(path):
    for language, text in blocks(path):
        if language == "python":
            tree = ast.parse(text)
            for name in own_names(tree):
                if name.split(".")[0] in ("gift_jax", "experiments"):
                    resolve(name)


def test_the_readme_counts_what_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(MODELS)} architectures" in readme
    studies = len(EXPERIMENTS) + 1  # that of a benchmark is called as its dataset is
    assert re.search(rf"^\| studies .* {studies}, each one command", readme, re.MULTILINE)


def test_the_version_is_one():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == version
