"""The direction of imports, the mirrored tests, and what a command line loads before it is asked for work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import commands

ROOT = Path(__file__).parent.parent
PACKAGES = ("gift_jax", "convert", "experiments", "benchmarks")

# The floors of gift_jax, from the ground up: each imports only what stands before it, and its own wing.
FLOORS = (
    *("errors", "runtime", "losses", "pixels", "augment", "optim", "readers", "data", "models", "evaluate", "teachers"),
    *("rded", "recipes", "training", "task", "plan", "reports", "studies"),
)
FRONT_DOOR = {"__init__", "__main__"}  # of the package itself; they name what they load by need


def modules(package):
    """Paths of a package's modules, by dotted name."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(name, path):
    """Dotted names that a module imports, relative imports resolved; modules behind `from package import` too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inside(package):
    """Names of a package's own modules and packages."""
    paths = (ROOT / package).iterdir()
    return {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").is_file()}


def test_every_wing_stands_on_a_floor():
    assert inside("gift_jax") - FRONT_DOOR == set(FLOORS)


@pytest.mark.parametrize("floor", FLOORS)
def test_no_wing_imports_one_above_it(floor):
    above = {f"gift_jax.{name}" for name in FLOORS[FLOORS.index(floor) + 1 :]}
    own = [(name, path) for name, path in modules("gift_jax") if f"{name}.".startswith(f"gift_jax.{floor}.")]
    assert own
    targets = [(name, target) for name, path in own for target in imported(name, path)]
    assert [pair for pair in targets if ".".join(pair[1].split(".")[:2]) in above] == []


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("gift_jax", {"torch", "tensorflow", "convert", "experiments", "benchmarks"}),
        ("experiments", {"torch", "tensorflow", "convert", "benchmarks"}),
        ("convert", {"experiments", "tensorflow", "benchmarks"}),
    ],
)
def test_imports_go_one_way(package, forbidden):
    found = [(name, target.split(".")[0]) for name, path in modules(package) for target in imported(name, path)]
    assert found
    assert [pair for pair in found if pair[1] in forbidden] == []


# What a command may take from another: report joins all studies, and options are inherited.
BETWEEN_COMMANDS = {"report": None, "imagenet_ipc10": {"evaluate"}}


def test_a_study_imports_what_is_shared_and_no_other_study():
    """`experiments/NAME.py` and `experiments/NAME/` import themselves and `common`, which imports no command."""
    rooms = {"common", *commands()}
    found = set()
    for name, path in modules("experiments"):
        room = name.split(".")[1] if "." in name else None
        targets = {target.split(".")[1] for target in imported(name, path) if target.startswith("experiments.")}
        allowed = BETWEEN_COMMANDS.get(room, set())
        if room in rooms and allowed is not None:
            found |= {(room, target) for target in targets & rooms - {room, "common"} - allowed}
    assert found == set()


def test_only_commands_lie_in_experiments():
    assert inside("experiments") - {"__init__", "__main__", "common"} == set(commands())


def test_tests_mirror_the_tree():
    """tests/PACKAGE/.../test_MODULE.py, or test_MODULE_CLAIM.py, stands for PACKAGE/.../MODULE, a file or a package."""
    for package in PACKAGES:
        for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
            place = ROOT / path.parent.relative_to(ROOT / "tests")
            words = path.stem.removeprefix("test_").split("_")
            stems = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
            names = [own for stem in stems for own in (f"{stem}.py", stem, f"__{stem}__.py")]
            assert any((place / name).exists() for name in names), (
                f"{path.relative_to(ROOT)} mirrors no module in {place.relative_to(ROOT)}"
            )


def loaded_after(code):
    script = f"import sys; {code}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_the_library_loads_neither_torch_nor_tensorflow():
    loaded = set(loaded_after("import gift_jax; [getattr(gift_jax, name) for name in gift_jax.__all__]"))
    assert "jax" in loaded
    assert not {"torch", "tensorflow", "matplotlib"} & loaded


def test_importing_loads_no_jax():
    assert "jax" not in loaded_after("import gift_jax")
