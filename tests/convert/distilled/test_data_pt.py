"""The official `data.pt`, written here as the official code writes it."""

import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from trees import RDED, pixels


def test_byte_images_come_back_as_bytes(imported, tmp_path):
    """Other floats, and columns of labels, are in `test_layouts.py`."""
    images, labels = pixels(20, 32), torch.arange(20) % 10
    data = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    torch.save({"dataset": "cifar10", "data": data, "label": labels}, tmp_path / "data.pt")
    back = imported(tmp_path / "data.pt", *RDED)
    np.testing.assert_array_equal(back.images, images)
    np.testing.assert_array_equal(back.labels, labels)
    assert (back.pixel_space, back.method, back.ipc, back.soft_labels) == ("raw", "rded", 2, None)
    assert (back.provenance["source"], len(back.provenance["sha256"])) == ("data.pt", 64)


MINE = ("--method", "mine", "--dataset", "cifar10", "--pixel-space", "normalised")
IMAGES, LABELS = torch.randn(30, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(30) // 3
PAIR = [IMAGES, LABELS]
FORMS = {
    "DC, DSA and DM": {"data": [PAIR, [IMAGES + 1, LABELS]], "accs_all_exps": {"ConvNet": [0.5]}},
    "pairs as tuples": {"data": ((IMAGES, LABELS), (IMAGES + 1, LABELS))},
    "pairs alone": [PAIR, [IMAGES + 1, LABELS]],
    "IDC and DREAM": PAIR,
    "a tuple": (IMAGES, LABELS),
    "labels in a list": [IMAGES, LABELS.tolist()],
    "one-hot rows": [IMAGES, torch.eye(10)[LABELS]],
    "usual names": {"images": IMAGES, "labels": LABELS},
    "other usual names": {"x": IMAGES, "y": LABELS, "note": "mine"},
    "half precision": [IMAGES.bfloat16().float(), LABELS],
    "channels last": [IMAGES.permute(0, 2, 3, 1), LABELS],
    "being optimised": [IMAGES.clone().requires_grad_(), LABELS],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_other_methods_come_back(form, imported, tmp_path):
    torch.save(FORMS[form], tmp_path / "res_DC_CIFAR10_ConvNet_3ipc.pt")
    distilled = imported(tmp_path / "res_DC_CIFAR10_ConvNet_3ipc.pt", *MINE)
    expected = IMAGES.bfloat16().float() if form == "half precision" else IMAGES
    np.testing.assert_array_equal(distilled.images, expected.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(distilled.labels, LABELS)
    assert (distilled.ipc, distilled.soft_labels) == (3, None)
    assert distilled.provenance.get("repetition", "1 of 2") == "1 of 2"


def test_of_several_repetitions_an_option_says_which_and_it_is_said(convert, imported, refused, tmp_path):
    path, out = tmp_path / "res.pt", tmp_path / "first.safetensors"
    torch.save(FORMS["DC, DSA and DM"], path)
    assert "repetition: 1 of 2" in convert("distilled", path, *MINE, "--out", out)[1]
    distilled = imported(path, *MINE, "--repetition", "2")
    np.testing.assert_array_equal(distilled.images, IMAGES.permute(0, 2, 3, 1) + 1)
    assert distilled.provenance["repetition"] == "2 of 2"
    message = "holds 2 repetitions, but --repetition is 3; give 1 to 2"
    refused("distilled", path, *MINE, "--repetition", "3", message=message)
    refused("distilled", path, *MINE, "--repetition", "0", message="--repetition must be 1 or more", names="")
    torch.save(PAIR, path)
    refused("distilled", path, *MINE, "--repetition", "1", message="holds one set")


def test_a_directory_with_one_torch_file_is_that_file(imported, refused, tmp_path):
    folder = tmp_path / "result"
    folder.mkdir()
    torch.save(PAIR, folder / "res.pt")
    (folder / "log.txt").write_text("mine")
    np.testing.assert_array_equal(imported(folder, *MINE).labels, LABELS)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(folder / "res.pt", "result/res.pt")
    np.testing.assert_array_equal(imported(tmp_path / "x.zip", *MINE).images, IMAGES.permute(0, 2, 3, 1))
    torch.save(PAIR, folder / "other.pt")
    message = "it holds 2 archives or torch files ('other.pt', 'res.pt'), give one of them"
    refused("distilled", folder, *MINE, message=message)
    (folder / "vis.png").write_bytes(b"")
    message = "'vis.png' is in no class folder; give a directory of class folders alone, or the file 'other.pt' itself"
    refused("distilled", folder, *MINE[:4], "--pixel-space", "raw", message=message)


def test_safetensors_with_usual_names_are_read(imported, tmp_path):
    safetensors.torch.save_file({"images": IMAGES, "labels": LABELS}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(imported(tmp_path / "x.safetensors", *MINE).images, IMAGES.permute(0, 2, 3, 1))


GOOD = {"dataset": "cifar10", "data": torch.zeros(20, 3, 32, 32), "label": torch.arange(20) % 10}
DATM = ("--method", "datm", *RDED[2:])
STRANGE = {
    "no data": ({**GOOD, "data": None}, RDED, "must be tensors, found a tuple of 2 (NoneType, Tensor)"),
    "other dataset": ({**GOOD, "dataset": "cifar100"}, RDED, "is of 'cifar100'"),
    "beyond float32": ({**GOOD, "data": torch.full((20, 3, 32, 32), 3e38)}, RDED, "must be in [0, 1]"),
    "space unknown": (GOOD, DATM, "does not tell its pixel space"),
    "dataset unknown": (GOOD, ("--method", "rded", "--dataset", "cifar"), "'cifar' is unknown"),
    "images alone": (IMAGES, MINE, "holds a tensor [30, 3, 8, 8] alone; expected [images, labels]"),
    "three": ([IMAGES, LABELS, LABELS], MINE, "holds a list of 3 (Tensor, Tensor, Tensor); expected [images, labels]"),
    "a number": (3, MINE, "holds an object of type int; expected [images, labels]"),
    "a list of images": ({"data": [IMAGES, 3], "label": LABELS}, MINE, "found a tuple of 2 (list, Tensor)"),
    "numbered keys": ({0: IMAGES, 1: LABELS}, MINE, "holds a dictionary with the key 0"),
    "whole numbers": ([IMAGES.long(), LABELS], MINE, "its images are torch.int64, expected uint8 or floats"),
    "flat images": ([IMAGES.flatten(1), LABELS], MINE, "is [30, 192], expected square images"),
    "sparse": ([IMAGES.to_sparse(), LABELS], MINE, "must be tensors"),
    "no values": ([torch.empty(30, 3, 8, 8, device="meta"), LABELS], MINE, "must be tensors"),
    "large numbers": ({"images": IMAGES, "labels": [2**70] * 30}, MINE, "found a tuple of 2 (Tensor, list)"),
    "logits": ([IMAGES, torch.randn(30, 10)], MINE, "are rows of numbers that are not one-hot; say what they are"),
    "bytes that are not raw": ([IMAGES.byte(), LABELS], MINE, "normalised images are uint8"),
    "empty": ({"data": []}, MINE, "holds 'data', expected images and labels by usual names"),
}


@pytest.mark.parametrize(("content", "arguments", "message"), STRANGE.values(), ids=STRANGE)
def test_other_torch_files_are_refused(content, arguments, message, refused, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    refused("distilled", tmp_path / "x.pt", *arguments, message=message, names="")


def phases(folder, *rows):
    """As IDC saves ImageNet-100: a folder a phase, which distils classes of its own."""
    for phase, chosen in enumerate(rows):
        (folder / f"ipc3_5_phase{phase}").mkdir(parents=True)
        torch.save([IMAGES[chosen], LABELS[chosen]], folder / f"ipc3_5_phase{phase}" / "data.pt")
    return folder


def test_files_of_different_classes_are_joined(convert, imported, tmp_path):
    folder = phases(tmp_path / "idc", slice(0, 15), slice(15, 30))
    distilled = imported(folder, *MINE)
    np.testing.assert_array_equal(distilled.images, IMAGES.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(distilled.labels, LABELS)
    assert "parts: 2 files of different classes" in convert("distilled", folder, *MINE, "--out", tmp_path / "x")[1]


def test_files_that_share_a_class_are_sets_of_their_own(refused, tmp_path):
    twice = "data.pt lies there 2 times"
    refused("distilled", phases(tmp_path / "a", slice(0, 16), slice(15, 30)), *MINE, message=twice, names="")
    folder = phases(tmp_path / "b", slice(0, 15), slice(15, 30))
    images, labels = IMAGES[15:], LABELS[15:]
    for other in ([images[:, :, :4, :4], labels], [images, labels[1:]], [images, torch.eye(10)[labels]]):
        torch.save(other, folder / "ipc3_5_phase1" / "data.pt")
        refused("distilled", folder, *MINE, message=twice)
    folder = phases(tmp_path / "c", slice(0, 15), slice(15, 30))
    torch.save(PAIR, folder / "data.pt")
    refused("distilled", folder, *MINE, message="data.pt lies there 3 times")
    (folder / "data.pt").unlink()
    for phase in (0, 1):
        (folder / f"ipc3_5_phase{phase}").rename(folder / f"ipc{phase}")
    refused("distilled", folder, *MINE, message=twice)
    refused("distilled", folder / "ipc0", *MINE, message="class 5 has 0 images", names=folder)
