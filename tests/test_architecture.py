"""The direction of imports, and what a command line loads before it is asked for work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imported(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                )
                yield from ((str(path), name.split(".")[0]) for name in names)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("gift_jax", {"torch", "tensorflow", "convert", "experiments"}),
        ("experiments", {"torch", "tensorflow", "convert"}),
        ("convert", {"experiments", "tensorflow"}),
    ],
)
def test_imports_go_one_way(package, forbidden):
    found = list(imported(package))
    assert found
    assert [pair for pair in found if pair[1] in forbidden] == []


def loaded_after(code):
    script = f"import sys; {code}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_the_library_loads_neither_torch_nor_tensorflow():
    loaded = loaded_after("import gift_jax; [getattr(gift_jax, name) for name in gift_jax.__all__]")
    assert "jax" in loaded
    assert not {"torch", "tensorflow"} & set(loaded)


def test_help_loads_neither_torch_nor_jax():
    loaded = loaded_after("import convert.__main__")
    assert "tyro" in loaded
    assert not {"torch", "jax"} & set(loaded)
