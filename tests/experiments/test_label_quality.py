"""The quality of labels: its cells, and figures by hand."""

import numpy as np
import pytest
from grids import rows_of

from experiments import label_quality
from experiments.common import label_gains
from experiments.common.inputs import load_real
from experiments.label_quality import LabelQuality
from gift_jax import GiftError

FIGURES = {("random", "ce", "dsa"): [60.0], ("random", "gift", "dsa"): [80.0], ("rded", "ce", "dsa"): [50.0]}
FIGURES |= {("rded", "gift", "dsa"): [90.0], ("random", "ce", "none"): [55.0], ("random", "gift", "none"): [70.0]}
FIGURES |= {("rded", "ce", "none"): [45.0], ("rded", "gift", "none"): [60.0]}
ROWS = rows_of(FIGURES, ("images", "loss", "augmentation"), dataset="digits")
ROWS += rows_of({("all",): [95.0]}, ("reference",), dataset="digits")


def test_shares_of_labels_and_images_by_hand():
    # Labels add 20 on random images and 40 on distilled ones; images add -10 under ce and 10 under gift.
    shares = label_gains.shares(label_gains.read_accuracies(ROWS), "rded", "gift")
    assert shares == {"total": {0: 30}, "labels": {0: 30}, "images": {0: 0}}


def test_the_scores_of_a_report_by_hand():
    accuracies = label_gains.read_accuracies(ROWS)
    rows = label_gains.score_section(accuracies, ["rded"], ["ce", "gift"], 0.5, 0.5).blocks[1].rows
    # HLR = 95 - 50. gift: IOR = 10, a = (0.10 - 0.45) / 2 = -0.175, (e^-0.175 - 0.36788) / 2.35040 = 0.2006;
    # without augmentation IOR = -10, b = 0: 1 / (1 + e) = 0.2689.
    assert ["rded", "`gift`", "+45.0", "+10.0", "20.1", "-10.0", "26.9"] in rows
    # ce: IOR = -10 both times: a = -0.275, (0.75957 - 0.36788) / 2.35040 = 0.1667; b = -0.1: (0.90484 - ...) = 0.2285
    assert ["rded", "`ce`", "+45.0", "-10.0", "16.7", "-10.0", "22.8"] in rows


def test_without_students_of_all_real_images_there_is_no_label_robust_score():
    accuracies = label_gains.read_accuracies(ROWS[:-1])
    rows = label_gains.score_section(accuracies, ["rded"], ["gift"], 0.5, 0.5).blocks[1].rows
    assert ["rded", "`gift`", "-", "+10.0", "-", "-10.0", "26.9"] in rows


def test_random_images_need_a_teacher(materials):
    with pytest.raises(GiftError, match="random images need a teacher"):
        label_quality.with_random(LabelQuality(), materials._replace(teacher=None), load_real(LabelQuality(), 8))


def test_every_seed_has_its_own_draw_under_one_name(materials):
    config = LabelQuality(methods=("rded",), losses=("ce", "gift"), num_seeds=2, ipc=3, real_epochs=0)
    real = load_real(config, 8)
    whole = label_quality.with_random(config, materials, real)
    cells = [*label_quality.make_cells(config, whole)]
    assert len(cells) == 2 * 2 * 2 * 2
    drawn = [cell for cell in cells if cell.labels == {"images": "random", "loss": "gift", "augmentation": "none"}]
    assert [cell.seed for cell in drawn] == [0, 1]
    for cell in drawn:
        assert cell.task.recipe.augment == "none"
        np.testing.assert_array_equal(cell.task.distilled.images, real.draw(3, cell.seed).images)
    assert not [*label_quality.make_real_cells(config, whole, real)]
