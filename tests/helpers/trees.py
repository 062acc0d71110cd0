"""Small distilled sets, written as the authors' writers do, and read as their readers do."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

RDED = ("--method", "rded", "--dataset", "cifar10", "--ipc", "2")
NAMES = {
    "sre2l": "new{label:03d}/class{label:03d}_id{number:03d}.jpg",
    "gvbsm": "new{label:03d}/class{label:03d}_id{number:03d}.png",
    "rded": "{label:05d}/class{label:05d}_id{number:05d}.jpg",
}


def pixels(count, side=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def encoded(image, suffix="png"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, {"jpg": "JPEG"}.get(suffix, suffix))
    return stream.getvalue()


def tree(pattern=NAMES["gvbsm"], classes=10, ipc=3, side=8):
    """Files by name, in an order that is not sorted."""
    images = pixels(classes * ipc, side).reshape(classes, ipc, side, side, 3)
    places = [(label, number) for label in range(classes) for number in range(ipc)]
    random.Random(1).shuffle(places)
    name = lambda label, number: pattern.format(label=label, number=number)  # noqa: E731
    suffix = pattern.rsplit(".", 1)[1]
    return {name(label, number): encoded(images[label, number], suffix) for label, number in places}


def write(folder, files):
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(folder)


def expected(files, ipc):
    """What torchvision's ImageFolder gives: classes and files in sorted order, each as RGB."""
    folders = sorted({str(Path(name).parent) for name in files})
    kept = [sorted(name for name in files if str(Path(name).parent) == folder)[:ipc] for folder in folders]
    names = [name for folder in kept for name in folder]
    images = [np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB")) for name in names]
    return np.stack(images), np.repeat(np.arange(len(folders)), ipc)


def assert_same(distilled, images, labels):
    assert distilled.images.dtype == images.dtype
    np.testing.assert_array_equal(distilled.images, images)
    np.testing.assert_array_equal(distilled.labels, labels)


def zipped(files, compression=zipfile.ZIP_DEFLATED):
    """The bytes of a zip of files by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files, mode="w"):
    """The bytes of a tar of files by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
