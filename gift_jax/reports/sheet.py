"""Contact sheets: the distilled images themselves, with their labels and what the teacher takes them for."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.network_input import to_input
from gift_jax.reports.page import Picture
from gift_jax.reports.pictures import new_figure
from gift_jax.runtime.files import os_errors_as_gift_error
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.normalising import renormalise

CLASSES, IMAGES = 10, 10  # of a contact sheet


def contact_sheet(name: str, distilled: DistilledSet, teacher: Teacher | None, names: Sequence[str]) -> Picture:
    """The first images of the first classes, with their label and the three classes the teacher gives most to.

    Args: names, of the classes by id. A set's stored soft labels take the place of a teacher.
    """
    if teacher is not None:
        distilled = renormalise(distilled, teacher.info.normalisation)
    rows = [np.flatnonzero(distilled.labels == label)[:IMAGES] for label in range(CLASSES)]
    rows = [*filter(len, rows)]
    # One pair of axes for all, in units of images: a hundred pairs take seconds to lay out.
    columns = max(map(len, rows))
    figure = new_figure(1.12 * columns, 1.42 * len(rows))
    axes = figure.add_subplot(xlim=(0, columns), ylim=(len(rows), 0))
    for i, row in enumerate(rows):
        for j, index in enumerate(map(int, row)):
            extent = (j + 0.08, j + 0.92, i + 0.74, i + 0.12)
            axes.imshow(_displayed(distilled.images[index]), "gray", extent=extent, aspect="auto", vmin=0, vmax=1)
            label, guesses = names[int(distilled.labels[index])], "\n".join(_top3(distilled, teacher, index, names))
            axes.text(j + 0.5, i + 0.1, label, ha="center", va="bottom", fontsize=8, fontweight="bold")
            axes.text(j + 0.5, i + 0.76, guesses, ha="center", va="top", fontsize=6.5, linespacing=1.05)
    axes.set(xlim=(0, columns), ylim=(len(rows), 0))
    axes.set_axis_off()
    alt = (
        f"{sum(map(len, rows))} of the {len(distilled.labels)} images of the {distilled.method} set: label above, the "
        "teacher's three likeliest classes with their probabilities below"
    )
    return Picture(name, alt, _png(figure, alt))


def _png(figure: Any, alt: str) -> bytes:
    """The figure as a small PNG whose `Description` tells what it shows: reports that find the file read that."""
    drawn, buffer = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    about = PngInfo()
    about.add_text("Description", alt)
    Image.open(drawn).convert("RGB").quantize(128).save(buffer, "png", pnginfo=about, optimize=True)
    return buffer.getvalue()


def read_png(path: Path) -> Picture:
    """A contact sheet from its file."""
    with os_errors_as_gift_error(path):
        content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        return Picture(path.stem, str(image.info.get("Description", path.stem)), content)


def _displayed(image: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1]: whitened and normalised ones stretched over it."""
    if image.dtype == np.uint8:
        image = image / 255
    low, high = (0.0, 1.0) if image.min() >= 0 and image.max() <= 1 else (image.min(), image.max())
    scaled = (image - low) / (high - low)
    return scaled[..., 0] if image.shape[-1] == 1 else scaled


def _top3(distilled: DistilledSet, teacher: Teacher | None, index: int, names: Sequence[str]) -> list[str]:
    """`name probability` of the three likeliest classes."""
    if teacher is not None:
        image: Any = distilled.images[index : index + 1]
        inputs = to_input(image, distilled.pixel_space, teacher.info.normalisation)
        logits = np.asarray(teacher.logits(inputs))[0]
    elif distilled.soft_labels is not None:
        logits = distilled.soft_labels[index]
    else:
        return []
    weights = np.exp(logits - logits.max())
    best = np.argsort(-weights)[:3]
    return [f"{names[label]} {weights[label] / weights.sum():.2f}" for label in best]
