"""Damaged datasets of every form: each loads whole or is refused in one line; none hangs or runs anything."""

import pickle
import shutil

import hypothesis
import numpy as np
import pytest
from folders import pixels
from fuzzing import MUTATIONS, Payload, loads_or_is_refused, mutate, of_mutants, settings
from hypothesis import strategies as st
from PIL import Image
from sources import CONTAINERS, FORMS, NAMES, write_cifar10, write_mnist, write_shards

from gift_jax.data.datasets import DatasetSpec, Normalisation, identity, read_dataset, write_dataset
from gift_jax.data.survey import survey_images
from gift_jax.readers.formats import read_images
from gift_jax.readers.request import SourceOptions


def flat(root):
    """With two lists; the mutants are of the lists and of the images."""
    root.mkdir()
    for number in range(6):
        Image.fromarray(pixels(number, 8)).save(root / f"{number}.png")
    (root / "labels.csv").write_text("".join(f"{number}.png,{NAMES[number % 3]}\n" for number in range(6)))


def packed(form, container):
    def write(root):
        root.mkdir()
        form(root / "plain")
        CONTAINERS[container](root / "plain", root / container)
        shutil.rmtree(root / "plain")

    return write


def npy(root):
    root.mkdir()
    np.save(root / "images.npy", np.stack([pixels(row, 8) for row in range(6)]))
    np.save(root / "labels.npy", np.arange(6) % 3)


def malicious(root):
    write_cifar10(root)
    (root / "data_batch_1").write_bytes(pickle.dumps({b"data": Payload(), b"labels": [0] * 10}))


SEEDS = {
    **FORMS,
    "list": flat,
    "npy": npy,
    "idx, not zipped": lambda root: write_mnist(root, zipped=False),
    "malicious": malicious,
    "zip": packed(FORMS["folders"], "x.zip"),
    "tar": packed(FORMS["folders"], "x.tar"),
    "tar.gz": packed(FORMS["folders"], "x.tgz"),
    "shards in zip": packed(write_shards, "x.zip"),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_datasets(kind, examples, cache, tmp_path, capfd):
    seed, copy = tmp_path / "seed", tmp_path / "mutant"
    SEEDS[kind](seed)
    files = sorted(path.relative_to(seed) for path in seed.rglob("*") if path.is_file())
    reading = SourceOptions(labels=str(copy / "labels.csv")) if kind == "list" else SourceOptions()
    counts = {"loaded": 0, "refused": 0}

    def load():
        records = read_images(copy, train=True, reading=reading)
        return records, survey_images(records, side=8, channels=None, measured=True)

    shutil.copytree(seed, copy)
    whole = None if kind == "malicious" else len(load()[0].labels)

    @settings(examples)
    @hypothesis.given(st.sampled_from(files), MUTATIONS)
    def check(file, mutations):
        shutil.rmtree(copy)
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(seed, copy)
        (copy / file).write_bytes(mutate((seed / file).read_bytes(), mutations))
        found = loads_or_is_refused(load)
        counts["loaded" if found else "refused"] += 1
        if found:
            records, looked = found
            assert len(records.labels) == whole
            assert looked.counts.sum() == whole

    check()
    assert counts["refused"] > 0, counts
    assert kind != "malicious" or counts["loaded"] < examples / 2
    assert "Traceback" not in capfd.readouterr().err


def test_damaged_descriptions(examples, tmp_path):
    statistics = Normalisation((0.25, 0.5, 0.75), (0.1, 0.2, 0.3))
    spec = DatasetSpec("mine", 3, 8, statistics, "here", class_names=NAMES, resize=(1, 1), train="/a", test="/b")
    path = tmp_path / "dataset.json"
    write_dataset(path, spec)
    found = of_mutants(path, lambda: identity(read_dataset(path)), 10 * examples)
    assert None in found
    assert all(one == identity(spec) for one in found if one)
