"""Hundreds of damaged files, or thousands: each loads or is refused in one line; none hangs or leaves a part behind."""

import argparse
import gc
import json
import shutil

import hypothesis
import numpy as np
import pytest
import safetensors.torch
import torch
from fuzzing import MUTATIONS, Payload, loads_or_is_refused, mutate, of_mutants, settings
from hypothesis import strategies as st
from modules import official, spec

from convert.checkpoint import read_checkpoint
from convert.families import find_family
from convert.request import TeacherRequest
from convert.teacher import convert_teacher
from gift_jax import load_teacher
from gift_jax.runtime.files import sha256_tree

SPEC = spec(depth=1, width=4, size=32)


def convert(source, out, **options):
    return convert_teacher(TeacherRequest(source, out, "cifar10", "conv1", **options))


@pytest.fixture(params=[200, pytest.param(1000, marks=pytest.mark.exhaustive)])
def examples(request):
    return request.param


def state(described=SPEC):
    torch.manual_seed(0)
    return official(described).state_dict()


SEEDS = {
    "zip": lambda path: torch.save({"model": state(), "args": argparse.Namespace(lr=0.1)}, path),
    "legacy": lambda path: torch.save({"model": state()}, path, _use_new_zipfile_serialization=False),
    "malicious": lambda path: torch.save({"model": state(), "args": Payload()}, path),
    "safetensors": lambda path: safetensors.torch.save_file(state(), path),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_checkpoints(kind, examples, tmp_path, capfd):
    SEEDS[kind](tmp_path / "seed.pth")
    data = (tmp_path / "seed.pth").read_bytes()
    path, out, counts = tmp_path / "mutant.pth", tmp_path / "out", {"read": 0, "refused": 0, "converted": 0}

    @settings(examples)
    @hypothesis.given(MUTATIONS)
    def check(mutations):
        path.write_bytes(mutate(data, mutations))
        read = loads_or_is_refused(lambda: read_checkpoint(path, SPEC, find_family(SPEC.name)))
        counts[found := "read" if read else "refused"] += 1
        if read:
            arrays = [np.asarray(leaf) for leaf in read.params["blocks"][0]["conv"].values()]
            assert all(np.isfinite(array).all() for array in arrays)
        # A tenth of those that can be read, and of the others, through the whole command.
        if counts[found] % 10 == 1:
            info = loads_or_is_refused(lambda: convert(path, out / "teacher"))
            assert (info is not None) == (out / "teacher").exists()
            assert not out.exists() or {entry.name for entry in out.iterdir()} <= {"teacher"}
            if info:
                counts["converted"] += 1
                load_teacher(out / "teacher")
                shutil.rmtree(out)

    check()
    assert counts["refused"] > examples / 10, counts
    assert kind == "malicious" or (counts["read"] > examples / 100 and counts["converted"] > 0), counts
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("value", [3e38, -1e30, 1e20, 1e-45, 0.0])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_extreme_weights(norm, value, tmp_path):
    """Values at the ends of float32, a tensor at a time, may overflow in either framework."""
    original, converted = state(spec(depth=1, width=4, size=32, norm=norm)), 0
    names = [name for name, tensor in original.items() if tensor.is_floating_point()]
    for name in names:
        torch.save({**original, name: torch.full_like(original[name], value)}, tmp_path / "seed.pth")
        if loads_or_is_refused(lambda: convert(tmp_path / "seed.pth", tmp_path / "teacher", norm=norm)):
            assert load_teacher(tmp_path / "teacher").params
            shutil.rmtree(tmp_path / "teacher")
            converted += 1
        assert not (tmp_path / "teacher").exists()
    assert converted == len(names) or value not in (0.0, 1e-45)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    directory = tmp_path_factory.mktemp("teacher")
    SEEDS["zip"](directory / "seed.pth")
    convert(directory / "seed.pth", directory / "teacher")
    return directory / "teacher"


PLAIN = (st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
JSON = st.recursive(
    st.one_of(*PLAIN, st.sampled_from(["conv9", "vit_b_16"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture
def copy(teacher, tmp_path):
    return shutil.copytree(teacher, tmp_path / "copy")


def test_teacher_json_with_other_values(examples, copy):
    content, loaded = json.loads((copy / "teacher.json").read_text()), []

    @settings(examples)
    @hypothesis.given(st.sampled_from(sorted(content)), st.none() | st.text(max_size=4), JSON, st.booleans())
    def check(name, inner, value, remove):
        changed = json.loads(json.dumps(content))
        place, key = changed, name
        if inner is not None and isinstance(changed[name], dict):
            place, key = changed[name], (sorted(changed[name]) or [inner])[len(inner) % max(1, len(changed[name]))]
        place.pop(key, None) if remove else place.__setitem__(key, value)
        (copy / "teacher.json").write_text(json.dumps(changed))
        if loads_or_is_refused(lambda: load_teacher(copy)):
            loaded.append(name)

    check()
    # Only what decides nothing may be anything; the rest is checked.
    free = "dataset source_file source_sha256 versions normalisation ema batches_tracked dataset_description"
    assert set(loaded) <= {*free.split(), "verification", "preprocessing"}


def test_damaged_teacher_json(examples, copy):
    assert None in of_mutants(copy / "teacher.json", lambda: load_teacher(copy), examples)


@pytest.mark.parametrize("consistent", [False, True], ids=["digest-differs", "digest-agrees"])
def test_damaged_orbax_directories(consistent, examples, teacher, tmp_path, caplog, capfd):
    """With the digest of the undamaged weights, and with the digest made to agree, so that Orbax reads them."""
    files = sorted(path.relative_to(teacher) for path in (teacher / "weights").rglob("*") if path.is_file())
    content = json.loads((teacher / "teacher.json").read_text())
    original = {file: (teacher / file).read_bytes() for file in files}
    copy, refused = tmp_path / "t", []

    @settings(examples // 4 if consistent else 3 * examples // 4)
    @hypothesis.given(st.sampled_from(files), MUTATIONS, st.sampled_from(["mutate", "mutate", "remove", "add"]))
    def check(file, mutations, action):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(teacher, copy)
        mutant = mutate(original[file], mutations)
        hypothesis.assume(mutant != original[file])
        if action == "remove":
            (copy / file).unlink()
        else:
            (copy / file).with_name(file.name + ("x" if action == "add" else "")).write_bytes(mutant)
        if consistent:
            changed = {**content, "weights_sha256": sha256_tree(copy / "weights")}
            (copy / "teacher.json").write_text(json.dumps(changed))
        loaded = loads_or_is_refused(lambda: load_teacher(copy))
        refused.append(loaded is None)
        assert consistent or loaded is None

    check()
    gc.collect()  # so that what a failed read leaves behind complains in this test
    assert caplog.records == []
    assert capfd.readouterr().err == ""
    assert any(refused)
    assert all((teacher / file).read_bytes() == data for file, data in original.items())  # the fixture was only read
