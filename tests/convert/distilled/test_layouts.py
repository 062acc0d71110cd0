"""The table of methods: which layouts a release may have, and what was done to its pixels."""

import numpy as np
import pytest
import torch
from trees import NAMES, RDED, assert_same, expected, tree, write, zipped

from convert.distilled.layouts import LAYOUTS
from convert.distilled.methods import METHODS
from gift_jax.data.datasets import DATASETS
from gift_jax.data.distilled import PIXEL_SPACES


def test_the_tables_fit_each_other():
    for release in METHODS.values():
        assert release.spaces.keys() <= LAYOUTS.keys()
        assert set(release.spaces.values()) <= {None, "unbounded", *PIXEL_SPACES}
        for name, normalisation in release.statistics.items():
            assert len(normalisation.mean) == DATASETS[name].channels


def test_an_own_methods_encoded_images_are_raw(refused, imported, tmp_path):
    files = tree(NAMES["gvbsm"])
    folder = write(tmp_path / "SYN", files)
    arguments = ("--method", "mine", *RDED[2:])
    refused("distilled", folder, *arguments, "--pixel-space", "zca", message="whose 8-bit pixels are raw")
    for told in ((), ("--pixel-space", "raw")):
        distilled = imported(folder, *arguments, *told)
        assert_same(distilled, *expected(files, 2))
        assert (distilled.method, distilled.pixel_space) == ("mine", "raw")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 600, b"%PDF-1.7"], ids=["empty", "text", "zeros", "pdf"])
def test_a_file_of_no_layout_lists_what_is_understood(content, refused, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(content)
    titles = "; ".join(layout.title for layout in LAYOUTS.values())
    refused("distilled", path, *RDED, message=titles)


@pytest.mark.parametrize("packed", [False, True], ids=["directory", "zip"])
def test_the_official_data_pt_is_found_in_its_directory(packed, imported, tmp_path):
    path = tmp_path / "syn_data" / "ipc2" / "data.pt"
    path.parent.mkdir(parents=True)
    images = torch.rand(20, 3, 8, 8)
    labels = torch.arange(20)[:, None] % 10  # a column
    torch.save({"dataset": "cifar10", "data": images, "label": labels}, path)
    if packed:
        (tmp_path / "x.zip").write_bytes(zipped({"ipc2/data.pt": path.read_bytes()}))
    distilled = imported(tmp_path / "x.zip" if packed else tmp_path / "syn_data", *RDED)
    assert_same(distilled, images.numpy().transpose(0, 2, 3, 1), np.arange(20) % 10)


STAND_INS = {
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a git-lfs pointer"),
    "a page": (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Sign in</title>", "is a web page that was saved in place of"),
    "an error": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
}


@pytest.mark.parametrize(("content", "message"), STAND_INS.values(), ids=STAND_INS)
@pytest.mark.parametrize("file", ["x.pt", "x.npz", "x.zip", "x.tar.gz", "d/data.pt", "d/images.npy", "d/x.parquet"])
def test_what_was_downloaded_in_place_of_a_set_is_named(file, content, message, refused, tmp_path):
    write(tmp_path, {file: content} | ({"d/labels.npy": content} if file == "d/images.npy" else {}))
    path = tmp_path / "d" if file.startswith("d/") else tmp_path / file
    arguments = ("--method", "mine", *RDED[2:], "--pixel-space", "raw")
    refused("distilled", path, *arguments, message=message)


def test_a_converted_set_is_known_under_any_ending(imported, refused, tmp_path):
    first = imported(write(tmp_path / "SYN", tree(ipc=2)), *RDED)
    again = (tmp_path / "set.safetensors").rename(tmp_path / "set.bin")
    assert_same(imported(again, *RDED[:-1], "1"), first.images[::2], first.labels[::2])
    message = "is the rded set of cifar10, not sre2l's of cifar10; give --method rded"
    refused("distilled", again, "--method", "sre2l", *RDED[2:], message=message)


def test_files_of_one_set_are_not_taken_alone(refused, tmp_path):
    (tmp_path / "mtt").mkdir()
    torch.save(torch.rand(10, 3, 8, 8), tmp_path / "mtt" / "images_best.pt")
    torch.save(torch.arange(10), tmp_path / "mtt" / "labels_best.pt")
    for name in ("images_best.pt", "labels_best.pt"):
        message = "is one of several files that belong together; give the directory that has them"
        refused("distilled", tmp_path / "mtt" / name, *RDED, message=message, names=name)


OTHERS = dict.fromkeys(("a.csv", "b.txt", "c.md", "d.md"), b"")
REFUSED = {
    "another layout": (tree(), ("--method", "datm", *RDED[2:]), "but --method datm is released as DATM's images"),
    "soft labels": (tree(ipc=2), (*RDED, "--soft-labels", "logits"), "--soft-labels is for "),
    "repetition": (tree(ipc=2), (*RDED, "--repetition", "1"), "--repetition is for "),
    "a column": (tree(ipc=2), (*RDED, "--label-column", "label"), "--label-column is for "),
    "no files": ({"empty/.hidden": b""}, RDED, "not understood"),
    "other files": (OTHERS, RDED, "not understood, it holds 'a.csv', 'b.txt', 'c.md' and 1 more; it may be"),
    "nothing": ({}, RDED, "no such file or directory"),
}


@pytest.mark.parametrize(("files", "arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_set_of_the_method_is_refused(files, arguments, message, refused, tmp_path):
    folder = write(tmp_path / "SYN", files)
    refused("distilled", folder, *arguments, message=message)
