"""Contact sheets: the distilled images themselves, with their labels and what the teacher takes them for."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gift_jax.checkpoint import Teacher
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.pixels import to_input
from gift_jax.files import reported
from gift_jax.page import Picture
from gift_jax.pictures import new_figure

CLASSES, IMAGES = 10, 10  # of a contact sheet


def contact_sheet(name: str, distilled: DistilledSet, teacher: Teacher | None, names: Sequence[str]) -> Picture:
    """The first images of the first classes, with their label and the three classes the teacher gives most to.

    Args: names, of the classes by id. A set's stored soft labels take the place of a teacher.
    """
    rows = [np.flatnonzero(distilled.labels == label)[:IMAGES] for label in range(CLASSES)]
    rows = [row for row in rows if len(row)]
    columns = max(map(len, rows))
    figure = new_figure(1.12 * columns, 1.42 * len(rows))
    sheet = figure.subplots(len(rows), columns, squeeze=False)
    for axes in sheet.flat:
        axes.set_axis_off()
    for axes, index in ((sheet[i, j], index) for i, row in enumerate(rows) for j, index in enumerate(row)):
        axes.imshow(_displayed(distilled.images[index]), cmap="gray", interpolation="nearest")
        axes.set_title(names[int(distilled.labels[index])], fontsize=8, fontweight="bold", pad=2)
        guesses = "\n".join(_top3(distilled, teacher, int(index), names))
        axes.text(0.5, -0.04, guesses, transform=axes.transAxes, ha="center", va="top", fontsize=5.5)
    shown = sum(map(len, rows))
    alt = (
        f"{shown} of the {len(distilled.labels)} images of the {distilled.method} set: label above, the teacher's "
        + ("three likeliest classes with their probabilities below")
    )
    buffer = io.BytesIO()
    # The file tells what it shows: reports that take it from a directory read that (`read_png`).
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None, "Description": alt})
    return Picture(name, alt, buffer.getvalue())


def read_png(path: Path) -> Picture:
    """A contact sheet from its file."""
    with reported(path):
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
