"""DATM's three torch files, as its distillation writes them."""

import numpy as np
import pytest
import torch
from trees import zipped

DATM = ("--method", "datm", "--dataset", "cifar10", "--ipc", "2")
IMAGES = torch.randn(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.randn(30, 10, generator=torch.Generator().manual_seed(1))
FILES = {"images_best.pt": IMAGES, "labels_best.pt": LABELS, "lr_best.pt": torch.tensor(0.0123)}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        torch.save(value, folder / name)
    return folder


@pytest.fixture(params=[False, True], ids=["directory", "zip"])
def pack(request, tmp_path):
    """A folder as it is, or zipped."""

    def run(folder, top="CIFAR-10/IPC3/"):
        if not request.param:
            return folder
        files = {top + file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        (tmp_path / "x.zip").write_bytes(zipped(files))
        return tmp_path / "x.zip"

    return run


def test_a_release_comes_back_with_its_logits_and_rate(pack, imported, tmp_path):
    path = pack(write(tmp_path / "IPC3", {**FILES, "images_zca_5000.pt": IMAGES}))
    distilled = imported(path.parent if path.is_dir() else path, *DATM)
    rows = np.arange(30).reshape(10, 3)[:, :2].ravel()
    np.testing.assert_array_equal(distilled.images, IMAGES.numpy().transpose(0, 2, 3, 1)[rows])
    np.testing.assert_array_equal(distilled.soft_labels, LABELS.numpy()[rows])
    np.testing.assert_array_equal(distilled.labels, rows // 3)
    assert (distilled.pixel_space, distilled.ipc) == ("zca", 2)
    assert distilled.learning_rate == 0.0123


def without(name):
    return {other: value for other, value in FILES.items() if other != name}


BAD = {
    "only copies to look at": ({"images_zca_5000.pt": IMAGES}, "inverse-transformed copies"),
    "no images": (without("images_best.pt"), "add images_best.pt"),
    "no labels": (without("labels_best.pt"), "labels_best.pt is not there"),
    "no rate": (without("lr_best.pt"), "lr_best.pt is not there"),
    "images of another kind": ({**FILES, "images_best.pt": [1]}, "is no tensor [N, C, H, W]"),
    "hard labels": ({**FILES, "labels_best.pt": torch.arange(30)}, "holds no logits"),
    "of another dataset": ({**FILES, "labels_best.pt": torch.randn(30, 100)}, "check --dataset"),
    "two rates": ({**FILES, "lr_best.pt": torch.ones(2)}, "no learning rate"),
    "a rate that is none": ({**FILES, "lr_best.pt": "fast"}, "no learning rate"),
}


@pytest.mark.parametrize(("files", "message"), BAD.values(), ids=BAD)
def test_releases_that_do_not_fit_are_refused(files, message, pack, refused, tmp_path):
    path = pack(write(tmp_path / "IPC3", files))
    refused("distilled", path, *DATM, message=message)


def test_several_settings_are_not_one_set(refused, tmp_path):
    for ipc in (1, 10):
        write(tmp_path / f"IPC{ipc}", FILES)
    refused("distilled", tmp_path, *DATM, message="give the directory or archive of one set")


MINE = ("--method", "mtt", "--dataset", "cifar10", "--pixel-space", "zca")
HARD = torch.arange(30) // 3
ORDER = torch.randperm(30, generator=torch.Generator().manual_seed(2))


def test_the_pair_of_mtt_has_hard_labels_and_no_rate(pack, imported, tmp_path):
    folder = write(tmp_path / "IPC3", {"images_best.pt": IMAGES[ORDER], "labels_best.pt": HARD[ORDER]})
    distilled = imported(pack(folder), *MINE)
    np.testing.assert_array_equal(distilled.images, IMAGES[ORDER].permute(0, 2, 3, 1))
    np.testing.assert_array_equal(distilled.labels, HARD[ORDER])
    assert (distilled.ipc, distilled.soft_labels) == (3, None)
    assert distilled.learning_rate is None


def test_images_labels_and_rate_by_their_plain_names(imported, tmp_path):
    files = {"images.pt": IMAGES, "labels.pt": torch.eye(10)[HARD], "lr.pt": torch.tensor(0.5)}
    distilled = imported(write(tmp_path / "x", files), *MINE)
    np.testing.assert_array_equal(distilled.labels, HARD)
    assert distilled.learning_rate == 0.5


def logged(*iterations):
    """As DATM's, PAD's and MTT's code logs them beside the best: images, labels and rate of an iteration."""
    files = {}
    for it in iterations:
        files |= {f"images_{it}.pt": IMAGES + it, f"labels_{it}.pt": LABELS, f"lr_{it}.pt": torch.tensor(it / 1e4)}
    return files


COPIES = {"images_zca_500.pt": IMAGES.clamp(0, 1)}  # un-whitened, to look at
PAD = ("--method", "pad", *DATM[2:])


def test_a_logged_iteration_is_taken_by_its_number(pack, imported, tmp_path):
    folder = write(tmp_path / "Normal", {**logged(0, 500, 1500), **COPIES})
    distilled = imported(pack(folder), *PAD, "--iteration", "500")
    rows = np.arange(30).reshape(10, 3)[:, :2].ravel()
    np.testing.assert_array_equal(distilled.images, (IMAGES + 500).permute(0, 2, 3, 1)[rows])
    np.testing.assert_array_equal(distilled.soft_labels, LABELS[rows])
    np.testing.assert_array_equal(distilled.labels, rows // 3)
    assert (distilled.pixel_space, distilled.learning_rate) == ("zca", 0.05)
    assert distilled.provenance["iteration"] == "500 of 0, 500, 1500"


def test_the_best_set_comes_before_logged_ones_and_one_alone_is_taken(done, imported, tmp_path):
    folder = write(tmp_path / "Normal", {**FILES, **logged(500, 1500), **COPIES})
    best = imported(folder, *PAD)
    assert (best.learning_rate, "iteration" in best.provenance) == (0.0123, False)
    write(tmp_path / "one", {**logged(500), **COPIES})
    assert "iteration: 500 of 500" in done("distilled", tmp_path / "one", *PAD, "--out", tmp_path / "x")


NOT_ONE = {
    "several": (logged(0, 500), (), "logs the sets of several iterations (0, 500); say which by --iteration"),
    "another": (logged(0, 500), ("--iteration", "1000"), "has no images_1000.pt of --iteration 1000; it logs 0, 500"),
    "a copy": ({**logged(0), **COPIES}, ("--iteration", "500"), "has no images_500.pt of --iteration 500; it logs 0"),
    "copies alone": (COPIES, (), "inverse-transformed copies to look at"),
    "no labels": ({"images_0.pt": IMAGES, "lr_0.pt": torch.tensor(0.1)}, (), "labels_0.pt is not there"),
    "no number": (logged(0), ("--iteration", "-1"), "--iteration must be 0 or more, not -1"),
}


@pytest.mark.parametrize(("files", "arguments", "message"), NOT_ONE.values(), ids=NOT_ONE)
def test_logs_that_are_not_one_set_are_refused(files, arguments, message, refused, tmp_path):
    refused("distilled", write(tmp_path / "Normal", files), *PAD, *arguments, message=message, names="")
