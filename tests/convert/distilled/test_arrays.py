"""Array pairs: an .npz, or a directory with images.npy and labels.npy."""

import numpy as np
import pytest
from trees import assert_same, pixels

from gift_jax.data.datasets import Normalisation

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


SOFT = np.random.default_rng(0).normal(size=(40, 10)).astype("f")
CHANCES = np.exp(SOFT) / np.exp(SOFT).sum(1, keepdims=True)
MIXED = np.random.default_rng(1).permutation(LABELS)
# The largest entry is the label's, whatever the order of the rows.
LOGITS = SOFT + 10 * np.eye(10, dtype="f")[MIXED]
ROWS = np.sort(np.concatenate([np.flatnonzero(label == MIXED)[:2] for label in range(10)]))


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i8", "?"])
def test_one_hot_rows_are_hard_labels_whatever_their_order(dtype, imported, tmp_path):
    distilled = imported(npz(tmp_path / "set.npz", labels=np.eye(10)[MIXED].astype(dtype)), *RAW)
    assert_same(distilled, IMAGES[ROWS], MIXED[ROWS])
    assert distilled.soft_labels is None
    assert distilled.provenance["labels"] == "one-hot rows"


def test_logits_are_soft_labels_where_it_is_said_and_their_class_is_the_argmax(imported, tmp_path):
    distilled = imported(pair(tmp_path / "set", labels=LOGITS), *RAW, "--soft-labels", "logits")
    assert_same(distilled, IMAGES[ROWS], MIXED[ROWS])
    np.testing.assert_array_equal(distilled.soft_labels, LOGITS[ROWS])
    assert distilled.provenance["labels"] == "logits"


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_probabilities_are_stored_as_logarithms_whose_softmax_they_are(dtype, imported, tmp_path):
    chances = np.where(np.eye(10)[MIXED] > 0, 0.91, 0.01).astype(dtype)
    chances[0] = np.where(np.arange(10) == MIXED[0], 0.75, 0) + np.where(np.arange(10) == (MIXED[0] + 1) % 10, 0.25, 0)
    distilled = imported(npz(tmp_path / "set.npz", labels=chances), *RAW, "--soft-labels", "probabilities")
    assert_same(distilled, IMAGES[ROWS], MIXED[ROWS])
    np.testing.assert_allclose(np.exp(distilled.soft_labels), chances[ROWS].astype("f"), rtol=1e-5, atol=1e-30)
    assert distilled.provenance["labels"] == "probabilities, stored as their logarithms"


UNSAID = {
    "logits": (LOGITS, (), "are rows of numbers that are not one-hot; say what they are by --soft-labels prob"),
    "probabilities": (CHANCES, (), "are rows of probabilities, not class ids; say what they are by --soft-labels"),
    "not logits": (CHANCES, ("logits",), "are probabilities (no row is negative, each sums to 1), but were taken for"),
    "not probabilities": (LOGITS, ("probabilities",), "are no probabilities, but were taken for probabilities"),
    "class ids": (LABELS, ("logits",), "are class ids, but --soft-labels is logits; drop it"),
    "one-hot": (np.eye(10)[LABELS], ("logits",), "are one-hot rows, but --soft-labels"),
    "undecided": (np.zeros((40, 10)), ("logits",), "row 0 of its labels has no single largest entry"),
    "twenty classes": (np.eye(20)[LABELS], (), "label is float64[40, 20], expected class ids [N] or rows [N, 10]"),
    "from 1": (LABELS + 1, (), "its labels count from 1 to 10, expected 0..9; say --first-label 1"),
    "far below": (np.full(40, -(2**63)), (), "has a label -9223372036854775808"),
    "far away": (LABELS + 2**40, (), "has a label 1099511627776"),
}


@pytest.mark.parametrize(("labels", "told", "message"), UNSAID.values(), ids=UNSAID)
def test_what_labels_are_is_never_guessed(labels, told, message, refused, tmp_path):
    path = npz(tmp_path / "set.npz", labels=labels)
    options = ("--soft-labels", *told) if told else ()
    refused("distilled", path, *RAW, *options, message=message)


def test_labels_from_1_are_shifted_where_it_is_said(imported, refused, tmp_path):
    path = npz(tmp_path / "set.npz", labels=LABELS + 1)
    assert_same(imported(path, *RAW, "--first-label", "1"), IMAGES[:20], LABELS[:20])
    refused("distilled", path, *RAW, "--first-label", "2", message="--first-label is 2", names="")


NAMES = [("images", "labels"), ("x_train", "y_train"), ("x", "y"), ("X", "Y"), ("data", "targets"), ("data", "label")]


@pytest.mark.parametrize("names", NAMES)
def test_arrays_have_usual_names(names, imported, tmp_path):
    np.savez(tmp_path / "set.npz", **dict(zip(names, (IMAGES, LABELS), strict=True)), accuracy=np.ones(1))
    distilled = imported(tmp_path / "set.npz", *RAW)
    assert_same(distilled, IMAGES[:20], LABELS[:20])
    assert distilled.provenance["arrays"] == " and ".join(names)


def test_two_pairs_are_not_one(refused, tmp_path):
    np.savez(tmp_path / "set.npz", data=IMAGES, label=LABELS, labels=LABELS)
    message = "holds 'data' and 'label' or 'data' and 'labels'; keep the pair that is meant"
    refused("distilled", tmp_path / "set.npz", *RAW, message=message, names="set.npz")


def test_channels_first_is_read_where_it_is_unambiguous(imported, tmp_path):
    distilled = imported(npz(tmp_path / "set.npz", IMAGES.transpose(0, 3, 1, 2).copy()), *RAW)
    assert_same(distilled, IMAGES[:20], LABELS[:20])
    assert distilled.provenance["axes"] == "[N, C, H, W]"


@pytest.mark.parametrize("fraction", [0, 0.25])
def test_floats_from_0_to_255_are_told_by_their_values(fraction, imported, tmp_path):
    images = np.minimum(IMAGES.astype("f8") + fraction, 255)
    distilled = imported(npz(tmp_path / "set.npz", images), *RAW)
    expected = (images[:20] / np.float32(255)).astype("f") if fraction else IMAGES[:20]
    assert_same(distilled, expected, LABELS[:20])
    assert distilled.provenance["values"] == "floats from 0 to 255"


def test_classes_of_different_sizes_need_an_ipc(refused, imported, tmp_path):
    path = npz(tmp_path / "set.npz", IMAGES[:39], LABELS[:39])
    arguments = (*MINE[:4], "--pixel-space", "raw")
    refused("distilled", path, *arguments, message="from 3 to 4 images; say how many of each")
    assert imported(path, *arguments, "--ipc", "3").ipc == 3


def test_the_statistics_of_normalised_pixels_are_kept(imported, refused, tmp_path):
    path = npz(tmp_path / "set.npz", IMAGES / np.float32(100))
    arguments = ("distilled", path, *MINE, "--pixel-space", "normalised", "--mean", "0.1", "0.2", "0.3")
    distilled = imported(*arguments[1:], "--std", "0.4", "0.5", "0.6")
    assert distilled.normalisation == Normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    refused(*arguments, message="--mean and --std go together", names="")


BAD = {
    "no pixels": ((np.zeros((40, 0, 0, 3), np.uint8), LABELS), "expected square images"),
    "not square": ((IMAGES[:, 1:], LABELS), "expected square images, [N, H, W, 3] or [N, 3, H, W]"),
    "both orders of axes": ((IMAGES[:, :3, :3], LABELS), "fits both"),
    "Fortran order": ((np.asfortranarray(IMAGES), LABELS), "np.ascontiguousarray"),
    "whole numbers": ((IMAGES.astype("i8"), LABELS), "is int64, expected uint8 or floats"),
    "other counts": ((IMAGES[:30], LABELS), "30 images, but 40 labels"),
    "labels as floats": ((IMAGES, LABELS / 1), "expected class ids"),
    "too few": ((IMAGES[:19], LABELS[:19]), "class 9 has 1 images"),
    "eleven classes": ((IMAGES[:33], np.arange(33) % 11), "has a label 10"),
    "objects": ((IMAGES, np.array([{}] * 40, object)), "Python objects, which are not loaded"),
    "images of objects": ((IMAGES.astype(object), LABELS), "Python objects, which are not loaded"),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=BAD)
def test_pairs_that_do_not_fit_are_refused(arrays, message, refused, tmp_path):
    path = npz(tmp_path / "set.npz", *arrays)
    refused("distilled", path, *RAW, message=message)


def test_floats_that_float32_cannot_hold_are_not_finite(convert, tmp_path):
    path = npz(tmp_path / "set.npz", IMAGES * 1e300)
    status, _, err = convert("distilled", path, *MINE, "--pixel-space", "zca", "--out", tmp_path / "out")
    assert (status, "hold values that are not finite" in err, err.count("\n")) == (2, True, 2)  # progress, error


def test_the_pixel_space_of_floats_is_asked_for_whatever_the_method(convert, imported, tmp_path):
    path = pair(tmp_path / "set")
    assert imported(path, *MINE).pixel_space == "raw"  # bytes are what they are
    np.save(path / "images.npy", np.load(path / "images.npy") / np.float32(255))
    for method in ("mine", "sre2l", "datm"):
        arguments = ("--method", method, *MINE[2:])
        status, _, err = convert("distilled", path, *arguments, "--out", tmp_path / "out")
        assert (status, "of floats; say --pixel-space raw|normalised|zca" in err) == (2, True)
        assert not (tmp_path / "out").exists()


def test_a_header_that_declares_more_than_there_is_takes_no_memory(refused, tmp_path):
    path = pair(tmp_path / "set")
    for name, shape in (("images.npy", (40, 100_000, 100_000, 3)), ("labels.npy", (1 << 40,))):
        whole = (path / name).read_bytes()
        with (path / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.write(whole[128:])
        refused("distilled", path, *RAW, message="not as long as its header says", names=name)
        (path / name).write_bytes(whole)
