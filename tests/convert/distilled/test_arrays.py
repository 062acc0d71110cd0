"""Array pairs: an .npz, or a directory with images.npy and labels.npy."""

import zipfile

import numpy as np
import pytest
from trees import assert_same, pixels

MINE = ("--method", "mine", "--dataset", "cifar10", "--ipc", "2")
RAW = (*MINE, "--pixel-space", "raw")
IMAGES, LABELS = pixels(40), np.arange(40) % 10


def pair(folder, images=IMAGES, labels=LABELS):
    folder.mkdir()
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    return folder


def npz(path, images=IMAGES, labels=LABELS, save=np.savez):
    save(path, images=images, labels=labels)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, None], ids=["npz", "compressed", "directory"])
def test_pairs_come_back(save, imported, tmp_path):
    path = npz(tmp_path / "set.npz", save=save) if save else pair(tmp_path / "set")
    assert_same(imported(path, *RAW), IMAGES[:20], LABELS[:20])


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8"])
def test_floats_become_float32_in_the_space_that_is_told(dtype, imported, tmp_path):
    images = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype(dtype)
    distilled = imported(pair(tmp_path / "set", images), *MINE, "--pixel-space", "zca")
    assert_same(distilled, images[:20].astype("f"), LABELS[:20])
    assert distilled.pixel_space == "zca"


def test_logits_are_soft_labels_class_by_class(imported, tmp_path):
    logits = np.random.default_rng(0).normal(size=(40, 10)).astype("f")
    distilled = imported(pair(tmp_path / "set", labels=logits), *RAW)
    rows = np.arange(40).reshape(10, 4)[:, :2].ravel()
    assert_same(distilled, IMAGES[rows], rows // 4)
    np.testing.assert_array_equal(distilled.soft_labels, logits[rows])


BAD = {
    "channels first": ((IMAGES.transpose(0, 3, 1, 2).copy(), LABELS), "transpose it"),
    "Fortran order": ((np.asfortranarray(IMAGES), LABELS), "np.ascontiguousarray"),
    "whole numbers": ((IMAGES.astype("i8"), LABELS), "is int64, expected uint8 or floats"),
    "other counts": ((IMAGES[:30], LABELS), "30 images, but there are 40 labels"),
    "labels as floats": ((IMAGES, LABELS / 1), "expected class ids"),
    "too few": ((IMAGES[:19], LABELS[:19]), "class 9 has 1 images"),
    "eleven classes": ((IMAGES[:33], np.arange(33) % 11), "has a label 10"),
    "objects": ((IMAGES, np.array([{}] * 40, object)), "Python objects, which are not loaded"),
    "images of objects": ((IMAGES.astype(object), LABELS), "Python objects, which are not loaded"),
}


@pytest.mark.parametrize("name", BAD)
def test_pairs_that_do_not_fit_are_refused(name, refused, tmp_path):
    arrays, message = BAD[name]
    path = npz(tmp_path / "set.npz", *arrays)
    refused("distilled", path, *RAW, message=message, names=path)


def test_floats_beyond_0_to_1_are_not_raw(convert, tmp_path):
    path = npz(tmp_path / "set.npz", IMAGES / np.float32(50))
    status, _, err = convert("distilled", path, *RAW, "--out", tmp_path / "out")
    assert (status, (tmp_path / "out").exists()) == (2, False)
    assert "set.npz: the mine set of cifar10: raw float images must be in [0, 1]" in err


def test_floats_that_float32_cannot_hold_are_not_finite(convert, tmp_path):
    path = npz(tmp_path / "set.npz", IMAGES * 1e300)
    status, _, err = convert("distilled", path, *MINE, "--pixel-space", "zca", "--out", tmp_path / "out")
    assert (status, "hold values that are not finite" in err, err.count("\n")) == (2, True, 2)  # progress, error


def test_the_pixel_space_is_asked_for_whatever_the_method(refused, tmp_path):
    path = pair(tmp_path / "set")
    for method in ("mine", "sre2l", "datm"):
        arguments = ("--method", method, *MINE[2:])
        refused("distilled", path, *arguments, message="say --pixel-space raw|normalised|zca", names=path)


def test_half_a_pair_is_refused(refused, tmp_path):
    path = pair(tmp_path / "set")
    (path / "labels.npy").unlink()
    refused("distilled", path, *RAW, message="labels.npy is not there", names=path)


def test_a_header_that_declares_more_than_there_is_takes_no_memory(refused, tmp_path):
    path = pair(tmp_path / "set")
    for name, shape in (("images.npy", (40, 100_000, 100_000, 3)), ("labels.npy", (1 << 40,))):
        whole = (path / name).read_bytes()
        with (path / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.write(whole[128:])
        refused("distilled", path, *RAW, message="not as long as its header says", names=name)
        (path / name).write_bytes(whole)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_truncated_pairs_are_refused(share, refused, tmp_path):
    path = pair(tmp_path / "set")
    whole = (path / "images.npy").read_bytes()
    (path / "images.npy").write_bytes(whole[: int(len(whole) * share)])
    refused("distilled", path, *RAW, message="not as long as its header says", names="images.npy")


def test_damaged_npz_files_are_refused(refused, tmp_path):
    path = npz(tmp_path / "set.npz")
    content = bytearray(path.read_bytes())
    content[1000:1008] = b"\0" * 8
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() == "images.npy"
    refused("distilled", path, *RAW, message="cannot be read", names=path)
