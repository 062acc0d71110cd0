"""Damaged distilled sets of every layout: each is converted whole or refused in one line."""

import functools
import io

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzzing import MUTATIONS, Payload, loads_or_is_refused, mutate, settings
from hypothesis import strategies as st
from trees import encoded, pixels, tree, write, zipped

from convert.distilled import convert_distilled
from convert.request import Request
from gift_jax import load_distilled

IMAGES, LABELS = pixels(10), np.arange(10)
NCHW = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return {"data.pt": stream.getvalue()}


def arrays(save):
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def shard():
    table = pa.table({"image": [encoded(image) for image in IMAGES], "label": LABELS})
    return arrays(lambda stream: pq.write_table(table, stream, row_group_size=4))


PAIR = [NCHW, torch.from_numpy(LABELS)]
SEEDS = {
    "data.pt": lambda: saved({"data": NCHW, "label": PAIR[1]}),
    "repetitions": lambda: saved({"data": [PAIR, PAIR]}),
    "legacy": lambda: saved(PAIR, _use_new_zipfile_serialization=False),
    "malicious": lambda: saved([*PAIR, Payload()]),
    "npz": lambda: {"set.npz": arrays(lambda stream: np.savez(stream, images=IMAGES, labels=LABELS))},
    "npy": lambda: {
        f"{name}.npy": arrays(functools.partial(np.save, arr=array))
        for name, array in (("images", IMAGES), ("labels", LABELS))
    },
    "folders": lambda: tree(ipc=1),
    "zip": lambda: {"set.zip": zipped(tree(ipc=1))},
    "parquet": lambda: {"train-00000-of-00001.parquet": shard()},
}


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_sets(kind, examples, tmp_path, capfd):
    files = SEEDS[kind]()
    source, out, counts = tmp_path / "source", tmp_path / "out", {"converted": 0, "refused": 0}
    write(source, files)

    def convert():
        place = tmp_path / "out" / "set.safetensors"
        return convert_distilled(Request(source, "mine", "cifar10", place, pixel_space="raw"))

    @settings(examples)
    @hypothesis.given(st.sampled_from(sorted(files)), MUTATIONS)
    def check(name, mutations):
        (source / name).write_bytes(mutate(files[name], mutations))
        found = loads_or_is_refused(convert)
        (source / name).write_bytes(files[name])
        counts["converted" if found else "refused"] += 1
        assert (found is not None) == (out / "set.safetensors").exists()
        if found:
            assert found.images.shape[0] == 10
            np.testing.assert_array_equal(load_distilled(out / "set.safetensors").images, found.images)
            (out / "set.safetensors").unlink()
        assert not out.exists() or list(out.iterdir()) == []

    check()
    assert counts["refused"] > 0, counts
    assert "Traceback" not in capfd.readouterr().err
