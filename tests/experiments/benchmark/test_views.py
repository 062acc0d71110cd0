"""The report of Fashion-MNIST from rows that are made up, whose answer is known."""

import dataclasses

import numpy as np
import pytest

from experiments.benchmark import views as fashion_views
from experiments.benchmark.cells import choose
from experiments.benchmark.setup import Benchmark
from gift_jax import GiftError
from gift_jax.reports.page import Picture

LOSSES = {"gift": 84.0, "cosine": 83.5, "softce": 82.5, "ce": 78.0, "kl": 81.0}
OPTIMIZERS = ("sgd", "adam", "adamw")
CONFIG = Benchmark(losses=tuple(LOSSES), fewer_losses=("ce", "gift"), sgd_rates=(1, 10, 100), adam_rates=(1, 3))


def made_rows(gift=0.0):
    """GIFT leads cosine by half a point and what is added; SGD's rates are in inverse proportion to gradients."""
    rng = np.random.default_rng(0)
    student = {"num_classes": 10, "options": [["width", 4]]}

    def row(seed, top1, **labels):
        found = {"dataset": "fashion-mnist", "student": student, "top1_last": top1, "seed": seed}
        return {**found, "labels": {name.replace("_", " "): text for name, text in labels.items()}, "seconds": 1.0}

    rows = []
    for loss, mean in LOSSES.items():
        best = {"gift": "10", "cosine": "10", "kl": "100"}.get(loss, "1")
        level = mean + gift * (loss == "gift")
        rows.append({**row(0, 0.0, question="gradient", loss=loss), "gradient_norm": 2.0 / float(best)})
        for name in OPTIMIZERS:
            for rate in ("0.1", "0.3", "1", "3", "10", "30", "100") if name == "sgd" else ("1", "3"):
                good = rate == (best if name == "sgd" else "3")
                rows.append(row(1000, level - 5 + 5 * good, question="search", loss=loss, optimizer=name, rate=rate))
            for view, less in (("customary", 40.0 if loss == "kl" else 3.0), ("tuned", 0.0)):
                for seed in range(10 if view == "tuned" and loss in ("gift", "cosine", "softce") else 5):
                    noise = 0.3 * np.sin(seed) + 0.1 * rng.normal()
                    rows.append(
                        row(seed, level - less + noise, question="headline", loss=loss, optimizer=name, view=view)
                    )
        for images, more in (("rded", 2.0), ("medoids", 1.0), ("random", 0.0)):
            rows += [row(s, level - 2 + more, question="sizes", ipc="10", images=images, loss=loss) for s in (0, 1)]
    recipe = {"augment": "flip", "optimizer": {"name": "sgd", "learning_rate": 0.05}, "schedule": {"name": "cosine"}}
    teacher = row(0, 91.5, question="teacher", test_images="10000")
    return [*rows, {**teacher, "recipe": recipe, "model": "conv3", "epochs": 6, "train_seconds": 400.0}]


def text_of(section):
    return "\n".join(block for block in section.blocks if isinstance(block, str))


def test_the_answer_gives_the_stated_comparison_with_its_interval():
    first, statistics, *others = fashion_views.make_sections(made_rows())
    text = text_of(first)
    assert "`gift` is 0.49 points ahead of" in text
    assert "`cosine`, its strongest rival on validation images (95 % interval of the difference +0." in text
    assert "n = 10 seeds, p < 0.001): beyond noise" in text
    assert "at tuned rates in 3 of 3" in text
    assert "10,000 test images leave each accuracy a standard error of 0.37 points" in text
    assert isinstance(first.blocks[0], Picture)
    assert "guessing 10.0 %, the whole dataset (the teacher) 91.5 %" in first.blocks[0].alt
    assert text_of(statistics).count("a family of 12 tests") == 2
    titles = [section.title for section in others]
    assert titles == ["Beside the literature", "Images, labels and sizes", "Gradients and rates", "The chosen rates",
                      "The teacher", "Not run"]  # fmt: skip
    told = {section.title: text_of(section) for section in others}
    assert "DSA, no teacher | 84.6" in told["Beside the literature"]
    assert (
        "rded with `gift`: +8.0 points over random images with hard labels, +6.0 by labels, +2.0 by images"
        in (told["Images, labels and sizes"])
    )
    assert (
        "Without `kl`, whose rate is at an end of the search, the losses' gradients at the start differ by a factor of "
        "10, SGD's tuned rates by 10, and rate times gradient norm by 1: the tuned rate makes up for most of the"
        in (told["Gradients and rates"])
    )
    assert "`kl` under sgd" in told["The chosen rates"]  # at an end of its grid
    assert "students, refinement, length, augmentation" in told["Not run"]


def test_sizes_ascend_in_whatever_order_they_were_run():
    rows = made_rows()
    longer = [
        {
            **rows[0],
            "labels": {"question": "length", "ipc": ipc, "images": images, "loss": "gift"},
            "top1_last": float(ipc) + len(images),
        }
        for images in ("rded", "random")
        for ipc in ("50", "1", "10")
    ]
    [section] = [one for one in fashion_views.make_sections([*rows, *longer]) if one.title == "Longer training"]
    assert text_of(section).count("| loss (n = 1) | 1 | 10 | 50 |") == 2
    assert "**Images: rded**" in text_of(section)
    assert "| `gift` | 5.0 ± 0.0 | 14.0 ± 0.0 | 54.0 ± 0.0 |" in text_of(section)
    assert "| `gift` | 7.0 ± 0.0 | 16.0 ± 0.0 | 56.0 ± 0.0 |" in text_of(section)


def test_what_gift_loses_is_said():
    text = text_of(fashion_views.make_sections(made_rows(gift=-2.0))[0])
    assert "points behind `cosine`" in text
    assert "at tuned rates in 0 of 3, losing to `cosine` by 1." in text


@pytest.mark.parametrize("question", ["search", "headline", "sizes"])
def test_a_run_that_was_cut_off_is_reported_and_says_what_is_left_out(question):
    """At rows where a run may have stopped; a search that was cut off has nothing after it."""
    rows = made_rows()
    places = [place for place, row in enumerate(rows) if row["labels"]["question"] == question]
    for place in places[:: len(places) // 5]:
        cut = [row for number, row in enumerate(rows) if number <= place or row["labels"]["question"] != question]
        cut = [row for row in cut if question != "search" or row["labels"]["question"] in ("search", "teacher")]
        sections = fashion_views.make_sections(cut)
        assert sections[0].title == "Answer"
    assert "Left out because some of their cells have no result: loss gift of sizes at 10." in text_of(
        next(section for section in fashion_views.make_sections(without(rows, "sizes", loss="gift", images="medoids"))
             if section.title == "Not run")
    )  # fmt: skip


def without(rows, question, **names):
    """The rows, but for those of a question with these names."""
    wanted = {"question": question, **names}
    return [row for row in rows if any(row["labels"].get(axis) != name for axis, name in wanted.items())]


def test_a_headline_without_gift_is_none():
    first = fashion_views.make_sections(without(made_rows(), "headline", loss="gift", optimizer="adam"))[0]
    assert text_of(first) == "The headline was not run."


def test_the_search_chooses_rates_and_rivals_and_says_what_is_missing(tmp_path):
    choice = choose(made_rows(), CONFIG)
    assert choice.rivals == ("cosine", "softce")
    assert (choice.rates["kl", "sgd"], choice.rates["kl", "adam"], choice.rates["ce", "sgd"]) == ("100", "3", "1")
    more = dataclasses.replace(CONFIG, losses=(*LOSSES, "mse"))
    with pytest.raises(GiftError, match="no rate was searched for mse under sgd; run --stages search first"):
        choose(made_rows(), more)
