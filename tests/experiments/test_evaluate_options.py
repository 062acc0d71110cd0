"""The official script's options: meanings and defaults there are ours, row by row of the table in docs/fidelity.md.

What is known of the script stands here as data. With GIFT_OFFICIAL=CHECKOUT (of LINs-lab/GIFT), the script itself is
run, its parser and its directory rules, with another function in place of its training.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import evaluate
from gift_jax.losses import LOSSES
from gift_jax.recipes import Setting, make_recipe

OFFICIAL = os.environ.get("GIFT_OFFICIAL")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text()
DEFAULTS = {
    "method": "rded", "criterion_name": "gift", "dataset": "cifar100", "model": "conv3", "tar_model": None, "ipc": 10,
}  # fmt: skip
LOSS_NAMES = {"ce", "kl", "softce", "mse", "mse_ce", "softce_ce", "cosine", "gift"}

# Options given; then the set's directory, the teacher (None: stored labels), epochs, and cells a side of a mosaic.
CASES = [
    ({}, "rded/cifar100_conv3/ipc10", "conv3", 1000, 1),
    ({"method": "sre2l", "ipc": 50}, "sre2l/cifar100_conv3/ipc50", "conv3", 1000, 1),
    ({"method": "gvbsm", "dataset": "cifar10"}, "gvbsm/cifar10_conv3/ipc10", "conv3", 1000, 1),
    ({"dataset": "imagenet-1k", "model": "conv4"}, "rded/imagenet-1k_conv4/ipc10", "conv4", 300, 1),
    ({"dataset": "imagenet-1k", "model": "resnet18"}, "rded/imagenet-1k_resnet18/ipc10", "resnet18", 300, 2),
    ({"model": "conv2", "tar_model": "conv3"}, "rded/cifar100_conv2/ipc10", "conv3", 1000, 1),
    ({"method": "datm"}, "datm/cifar100_conv3/ipc10", None, 1000, 1),
    ({"method": "datm", "model": "conv4", "tar_model": "conv3"}, "datm/cifar100_conv3/ipc10", None, 1000, 1),
]  # fmt: skip

# The script, with a teacher's name where it forgets to set one, and its calls of the training written down.
RUN = """
import json, runpy, sys, types
script, tar_model = sys.argv[1:3]
sys.path.insert(0, script.rpartition("/")[0])
stub = types.ModuleType("validate.evaluator_benchmark")
stub.eval_data = lambda *given, **named: print("CALL" + json.dumps([given, named]))
sys.modules["validate"], sys.modules[stub.__name__] = types.ModuleType("validate"), stub
sys.argv = [script, *sys.argv[3:]]
found = runpy.run_path(script, {"tar_model": tar_model} if tar_model else None, "__main__")
print("ARGS" + json.dumps(vars(found["args"])))
"""


def words(options):
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def rows():
    table = DOCUMENT.split("## Options of the official script")[1].split("\n## ")[0]
    return re.findall(r"^\| `--(\w+)` \| (?:`(\w+)`|the student) \| .+ \| .+ \|$", table, re.MULTILINE)


def test_the_table_has_every_option_and_its_default():
    assert LOSSES.keys() >= LOSS_NAMES
    assert rows() == [(name, "" if value is None else str(value)) for name, value in DEFAULTS.items()]


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_option_has_the_official_default(name):
    config, setting = evaluate.Evaluate(), Setting("rded", "cifar100", "conv3", 10)
    found = {**vars(config), "criterion_name": evaluate.resolve_recipe(config, setting).loss}
    assert found[name] == DEFAULTS[name]


def test_the_loss_has_two_names(refuse, tmp_path):
    for option in ("--loss", "--criterion_name", "--criterion-name"):
        assert "'gfit' is unknown" in refuse(evaluate, option, "gfit", "--distilled", tmp_path)
    sentence = refuse(evaluate, "--loss", "kl", "--criterion_name", "ce")
    assert "--loss and --criterion-name are one option" in sentence


def test_a_pipe_is_no_set(refuse, tmp_path):
    os.mkfifo(tmp_path / "set.safetensors")
    sentence = refuse(evaluate, "--distilled", tmp_path / "set.safetensors")
    assert "is a pipe, a socket or a device; check --distilled" in sentence


@pytest.mark.parametrize(("options", "directory", "teacher", "epochs", "factor"), CASES)
def test_options_mean_what_they_mean_there(options, directory, teacher, epochs, factor, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = command(evaluate, *words(options))
    assert (status, err.split(": ")[1]) == (2, f"syn_data/{directory}")
    config = evaluate.Evaluate(**options)
    assert config.method == "datm" or config.teacher_model == teacher
    recipe = make_recipe("gift", Setting(config.method, config.dataset, config.model, config.ipc))
    assert (recipe.epochs, recipe.factor, len(config.seeds), recipe.evaluations) == (epochs, factor, 3, 4)


def test_any_loss_and_recipe_has_a_hard_phase():
    setting = Setting("rded", "cifar100", "conv3", 10)
    config = evaluate.Evaluate(recipe="rded", loss="cosine", hard_share=0.5, epochs=8)
    recipe = evaluate.resolve_recipe(config, setting)
    assert (recipe.losses, recipe.during(3).loss_options) == (("cosine", "ce", "cosine"), (("smoothing", 0.8),))
    plain = evaluate.resolve_recipe(evaluate.Evaluate(recipe="rded"), setting)
    assert plain == make_recipe("rded", setting)


@pytest.mark.skipif(not OFFICIAL, reason="GIFT_OFFICIAL names no checkout of LINs-lab/GIFT")
@pytest.mark.parametrize(("options", "directory", "teacher", "epochs", "factor"), CASES)
def test_the_official_script_itself(options, directory, teacher, epochs, factor, tmp_path):
    (tmp_path / "syn_data" / directory).mkdir(parents=True)
    (tmp_path / "syn_data" / directory / "data.pt").touch()
    script = [sys.executable, "-c", RUN, f"{OFFICIAL}/eval_syn_data.py", options.get("tar_model", ""), *words(options)]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=True)
    [(given, named)] = [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("CALL")]
    [found] = [json.loads(line[4:]) for line in done.stdout.splitlines() if line.startswith("ARGS")]
    assert found == {**DEFAULTS, **options}
    assert given == [found["method"], found["criterion_name"]]
    assert named["data_save_dir"] == f"./syn_data/{directory}"
    assert (named["model_ls"], named["tar_model_ls"]) == ([found["model"]], [teacher])
    assert (named["epochs"], named["factor"], named["eval_times"], named["num_val"]) == (epochs, factor, 3, 4)
