"""Eight looks that differ in colour, marker and line, and the colours for colour-blind eyes too: measured."""

import itertools
import re

import numpy as np
import pytest
from grids import rows_of

from gift_jax.losses import LOSSES
from gift_jax.reports import pictures
from gift_jax.reports.tables import Summary, make_grid

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
EYES = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
BOUNDS = {"normal": 25, "deuteranopia": 15, "protanopia": 15, "tritanopia": 15}  # CIE 1976 delta E; 2.3 is just seen


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour, eye):
    """CIE L*a*b* (D65) of a colour as an eye sees it."""
    t = TO_XYZ @ np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lab_by_hand():
    np.testing.assert_allclose(lab("#FFFFFF", "normal"), [100, 0, 0], atol=1e-6)
    np.testing.assert_allclose(lab("#FF0000", "normal"), [53.24, 80.09, 67.20], atol=0.02)  # sRGB red


@pytest.mark.parametrize("eye", EYES)
def test_the_eight_colours_are_told_apart(eye):
    assert len(pictures.COLOURS) == 8
    found = {colour: lab(colour, eye) for colour in [*pictures.COLOURS, "#FFFFFF"]}
    for one, other in itertools.combinations(found, 2):
        assert np.linalg.norm(found[one] - found[other]) > BOUNDS[eye], (one, other)


def test_eight_losses_have_eight_looks_that_share_nothing():
    looks = pictures.styles([*LOSSES][:8])
    for part in ("color", "marker", "linestyle"):
        assert len({str(look[part]) for look in looks.values()}) == 8


def test_a_loss_looks_the_same_in_every_picture():
    assert pictures.styles(["kl_t2", "gift"])["gift"] == pictures.styles([*LOSSES][:8])["gift"]
    nine = pictures.styles([*[*LOSSES][:8], "kl_t2"])
    assert len({str(sorted(look.items(), key=str)) for look in nine.values()}) == 9
    assert [*pictures.styles(["ours", "gift"]).values()] == [*pictures.styles([*LOSSES][:2]).values()]


def points_of(names):
    cell = Summary(50.0, 1.0, 3)
    return {name: [pictures.Point(10.0, cell), pictures.Point(1000.0, cell, joined=False)] for name in names}


def test_points_by_size_have_marks_and_one_name_each():
    options = {"marks": {"hard": 10.0, "bank": 1000.0}, "scale": "log"}
    picture = pictures.lines("s", {"a": points_of(["gift", "kl"])}, "bytes", "S", **options)
    names = ("GIFT", "KL", "hard labels", "label bank")
    assert [picture.content.count(f">{text}</text>") for text in names] == [1, 1, 1, 1]
    alone = {"kl": [pictures.Point(10.0, Summary(50.0, 1.0, 3), joined=False)]}
    assert ">KL</text>" in pictures.lines("s", {"a": alone}, "bytes", "S", scale="log").content


def test_every_picture_of_eight_losses_has_eight_colours():
    rows = [
        {"loss": loss, "optimizer": "sgd", "rate": rate, "seed": 0, "top1_last": 10.0 * place}
        | {"history": [{"epoch": 1, "top1": 5.0}], "losses": [[1, 1.0]]}
        for place, loss in enumerate(LOSSES)
        for rate in ("1", "10")
    ]
    drawn = [
        pictures.points("p", {"a": make_grid(rows, "loss", "rate")}, "P"),
        pictures.lines("l", {"a": points_of(LOSSES)}, "x", "L"),
        pictures.curves("c", rows, "loss", "C"),
        pictures.lines("r", pictures.panels_by(rows, "optimizer", "loss", "rate", 0.0), "x", "R", scale="log"),
    ]
    for picture in drawn:
        assert all(colour.lower() in picture.content for colour in pictures.COLOURS if colour != "#000000")


def test_a_missing_cell_is_drawn_by_no_picture():
    grid = make_grid(rows_of({("gift", "1"): [50, 60], ("gift", "10"): [70], ("kl", "1"): [40]}), "loss", "optimizer")
    assert [len(found) for found in pictures.grid_series(grid).values()] == [2, 1]
    assert "GIFT" in pictures.points("p", {"": grid}, "P", references={"guessing": 55.0, "teacher": 99.0}).content


def test_axes_keep_to_the_range_of_what_is_drawn_and_references_far_away_are_named():
    grid = make_grid(rows_of({("gift", "sgd"): [95, 96], ("kl", "sgd"): [94, 95]}), "loss", "optimizer")
    content = pictures.points("p", {"": grid}, "P", references={"guessing": 10.0, "teacher": 96.5}).content
    assert ">guessing 10.0 %</text>" in content
    assert ">(off the axis)</text>" in content
    assert content.count("(off the axis)") == 1
    ticks = [float(text) for text in re.findall(r">(\d+\.\d)</text>", content)]
    assert min(ticks) > 90
