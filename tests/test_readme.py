"""What the README shows is real: its commands run, its Python prints what it says, its output is the demo's."""

import contextlib
import importlib
import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from forms import short_form

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    command.replace("\\\n", " ")
    for kind, block in BLOCKS
    for command in re.findall(r"^(?:\$ )?(python -m (?:.*\\\n)*.*)$", block, re.MULTILINE)
    if not kind
]
# What is changed so that a command ends in seconds.
SHORTER = {
    "--epochs 100": "--epochs 2",
    "cross_optimizer": "cross_optimizer --dry-run --out runs/quickstart",
    "sgd adam adamw": "sgd",
}
QUICK = [command for command in COMMANDS if "cross_optimizer" not in command and "evaluate" not in command]
FIGURES = re.compile(r"([\d.]+) ± ([\d.]+)")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory in which `make demo` has made its teacher and set, with the files that the README names."""
    from experiments import quickstart
    from gift_jax.data.digits import load_split

    place = tmp_path_factory.mktemp("readme")
    (place / "tests" / "golden").mkdir(parents=True)
    shutil.copy(TESTS / "golden" / "cifar10_conv3.pth", place / "tests" / "golden")
    split = load_split()
    for name, start in (("train", 0), ("test", 10)):
        rows = np.concatenate([np.flatnonzero(split.train_labels == label)[start : start + 10] for label in range(10)])
        np.savez(place / f"{name}.npz", images=split.train_images[rows], labels=split.train_labels[rows])
    config = quickstart.Quickstart(out=place / "runs" / "quickstart")
    quickstart.distill(config, quickstart.example_teacher(config.out))
    return place


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    monkeypatch.chdir(place)


def find(module):
    loaded = importlib.import_module("convert.__main__" if module == "convert" else module)
    return loaded.COMMANDS if module == "convert" else loaded.main


@pytest.mark.parametrize("command", short_form(COMMANDS, QUICK), ids=lambda command: command.split()[2])
def test_a_command_of_the_readme_runs(command, command_line):
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    python, _, module, *arguments = shlex.split(command)
    assert python == "python"
    status, out, error = command_line(find(module), f"python -m {module}", *arguments)
    if "SET" in arguments:  # ImageNet is not here; test_imagenet_ipc10 runs this one from files like the authors'
        assert (status, error.splitlines()[-1][:10]) == (2, "error: SET")
    else:
        assert status == 0, error
        assert out
    if "experiments.evaluate" in command:
        shown = README.partition("--teacher runs/quickstart/teacher\n")[2].partition("```")[0]
        assert without_figures(shown.partition("...")[2]) in without_figures(out)


def without_figures(text):
    return re.sub(r"[\d.]+|\s+", " ", text).strip()


def test_the_commands_are_found():
    assert len(COMMANDS) == 5


def test_the_python_example_prints_an_accuracy_for_each_seed():
    [example] = [block for kind, block in BLOCKS if kind == "python"]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(example, "README.md", "exec"), {})
    found = re.findall(r"^seed (\d): last ([\d.]+) %, best of 4 ([\d.]+) %$", output.getvalue(), re.MULTILINE)
    assert [seed for seed, _, _ in found] == ["0", "1", "2"]
    assert all(80 < float(last) <= float(best) <= 100 for _, last, best in found)


@pytest.mark.exhaustive
def test_the_demo_prints_what_the_readme_shows(command_line, monkeypatch):
    """Means differ by a test image or two between machines: 602 images, three seeds."""
    monkeypatch.setenv("COLUMNS", "120")
    status, out, error = command_line(find("experiments.quickstart"), "python -m experiments.quickstart")
    assert status == 0, error
    files = "teacher.pth teacher rded.safetensors results.jsonl report.md report.html pictures sheets"
    assert {path.name for path in Path("runs/quickstart").iterdir()} >= set(files.split())
    [shown] = [block for kind, block in BLOCKS if not kind and "Top-1 accuracy" in block]
    assert re.sub(FIGURES, "", "\n".join(table(shown))) == re.sub(FIGURES, "", "\n".join(table(out)))
    ours, theirs = ([float(mean) for mean, _ in FIGURES.findall("\n".join(table(text)))] for text in (shown, out))
    assert ours == pytest.approx(theirs, abs=1.0)


def table(text):
    """The table's lines, rows in the order of their names, without the spaces that figures leave."""
    return sorted(re.sub(r"\s+", " ", line) for line in text.splitlines() if line.startswith("│"))
