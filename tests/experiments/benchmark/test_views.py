"""The report of Fashion-MNIST from rows that are made up, whose outcome is known."""

import dataclasses
import itertools

import numpy as np
import pytest
from grids import text_of

from experiments.benchmark import views as fashion_views
from experiments.benchmark.cells import choose
from experiments.benchmark.setup import Benchmark
from gift_jax import GiftError
from gift_jax.reports.page import Table

LOSSES = {"gift": 84.0, "cosine": 83.5, "softce": 82.5, "ce": 78.0, "kl": 81.0}
OPTIMIZERS = ("sgd", "adam", "adamw")
CONFIG = Benchmark(losses=tuple(LOSSES), fewer_losses=("ce", "gift"), sgd_rates=(1, 10, 100), adam_rates=(1, 3))


def made_rows(gift=0.0):
    """GIFT leads cosine by half a point and what is added; SGD's rates are in inverse proportion to gradients."""
    rng = np.random.default_rng(0)
    student = {"num_classes": 10, "options": [["width", 4]]}
    recipe = {"augment": "flip", "batch_size": 100, "max_steps": None, "schedule": {"name": "cosine"}}
    recipe |= {"epochs": 6, "optimizer": {"name": "sgd", "learning_rate": 0.05}}

    def row(seed, top1, **labels):
        found = {"dataset": "fashion-mnist", "student": student, "recipe": recipe, "method": "rded"}
        found |= {"model": "conv3", "epochs": 6, "ipc": 10, "top1_last": top1, "seed": seed}
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
                    top1 = level - less + 0.3 * np.sin(seed) + 0.1 * rng.normal()
                    rows.append(row(seed, top1, question="headline", loss=loss, optimizer=name, view=view))
        for images, more in (("rded", 2.0), ("medoids", 1.0), ("random", 0.0)):
            rows += [row(s, level - 2 + more, question="sizes", ipc="10", images=images, loss=loss) for s in (0, 1)]
    teacher = row(0, 91.5, question="teacher", test_images="10000")
    return [*rows, {**teacher, "train_seconds": 400.0}]


def test_the_report_begins_with_the_stated_comparison():
    first, differences, *others = fashion_views.make_sections(made_rows())
    _, picture, _, line, *_ = first.blocks
    assert line.startswith("```\ngift - cosine: +0.5 [+0.")
    assert line.endswith(", n = 10, p < 0.001\n```")
    assert ">guessing 10.0 %<" in picture.content
    assert ">teacher 91.5 %<" in picture.content
    assert text_of([differences]).count("a family of 12 differences:") == 2
    assert "10,000 test images leave to an accuracy: 0.37 points" in text_of([differences])
    told = {section.title: section for section in others}
    assert [*told] == ["Compared with published results", "Images, labels and sizes", "Gradients and rates",
                       "The chosen rates", "The teacher", "Not run"]  # fmt: skip
    assert "DSA, no teacher | 84.6" in text_of([told["Compared with published results"]])
    assert "| `gift` | 84.0 ± 0.0 | 83.0 ± 0.0 | 82.0 ± 0.0 |" in text_of([told["Images, labels and sizes"]])
    ratios = told["Gradients and rates"].blocks[1].rows[-1]
    assert ratios[:3] == ["largest / smallest", "100", "1"]
    assert "| `kl` | 10* |" in text_of([told["The chosen rates"]])  # at an end of its grid
    assert "length" in text_of([told["Not run"]])


def test_sizes_ascend_in_whatever_order_they_were_run():
    rows = made_rows()
    longer = []
    for images, ipc in itertools.product(("rded", "random"), ("50", "1", "10")):
        labels = {"question": "length", "ipc": ipc, "images": images, "loss": "gift"}
        longer.append({**rows[0], "labels": labels, "top1_last": float(ipc) + len(images)})
    [section] = [one for one in fashion_views.make_sections([*rows, *longer]) if one.title == "Longer training"]
    tables = [block.rows for block in section.blocks if isinstance(block, Table)]
    assert tables == [
        [["loss, images rded (n = 1)", "1", "10", "50"], ["`gift`", "5.0", "14.0", "54.0"]],
        [["loss, images random (n = 1)", "1", "10", "50"], ["`gift`", "7.0", "16.0", "56.0"]],
    ]


@pytest.mark.parametrize("question", ["search", "headline", "sizes"])
def test_a_run_that_was_cut_off_is_reported_and_names_what_is_missing(question):
    """At rows where a run may have stopped; a search that was cut off has nothing after it."""
    rows = made_rows()
    places = [place for place, row in enumerate(rows) if row["labels"]["question"] == question]
    for place in places[:: len(places) // 5]:
        cut = [row for number, row in enumerate(rows) if number <= place or row["labels"]["question"] != question]
        cut = [row for row in cut if question != "search" or row["labels"]["question"] in ("search", "teacher")]
        assert fashion_views.make_sections(cut)[0].title == "Summary"
    lacking = without(rows, "sizes", loss="gift", images="medoids")
    assert fashion_views.missing_cells(lacking) == ["medoids, gift of sizes of 10"]
    assert fashion_views.missing_cells(rows) == []


def without(rows, question, **names):
    """The rows, but for those of a question with these names."""
    wanted = {"question": question, **names}
    return [row for row in rows if any(row["labels"].get(axis) != name for axis, name in wanted.items())]


def test_a_headline_without_gift_is_none():
    first = fashion_views.make_sections(without(made_rows(), "headline", loss="gift", optimizer="adam"))[0]
    assert text_of([first]) == "Neither losses at the official rate nor the headline were run."


def test_the_search_chooses_rates_and_rivals_and_says_what_is_missing(tmp_path):
    choice = choose(made_rows(), CONFIG)
    assert choice.rivals == ("cosine", "softce")
    assert (choice.rates["kl", "sgd"], choice.rates["kl", "adam"], choice.rates["ce", "sgd"]) == ("100", "3", "1")
    more = dataclasses.replace(CONFIG, losses=(*LOSSES, "mse"))
    with pytest.raises(GiftError, match="no rate was searched for mse under sgd; run --stages search first"):
        choose(made_rows(), more)


def test_the_official_regime_is_compared_by_size_and_beside_what_is_published():
    def row(question, seed, top1, loss, size, **labels):
        labels = {"question": question, "loss": loss, **labels}
        return {**made_rows()[0], "dataset": "cifar10", "labels": labels, "seed": seed, "top1_last": top1, "ipc": size,
                "optimizer": "adamw"}  # fmt: skip

    rows = [row("primary", seed, top1 + seed / 10, loss, 10) for loss, top1 in (("kl", 50.0), ("gift", 52.0))
            for seed in range(3)]  # fmt: skip
    rows[0]["top1_last"] += 0.3
    rows += [row("losses", seed, top1 + seed, loss, 1, ipc="1") for loss, top1 in (("ce", 20.0), ("gift", 30.0))
             for seed in range(2)]  # fmt: skip
    rows += [row("rded", seed, 56.0 + seed, "kl", 10, ipc="10") for seed in range(3)]
    first, published, missing = fashion_views.make_sections(rows)
    text = text_of([first])
    assert "gift - kl: +1.9 [" in text
    assert "| `gift` | 30.5 ± 0.7 | 52.1 ± 0.1 |" in text
    assert "| `ce` | 20.5 ± 0.7 | - |" in text
    shown = "| RDED's recipe on RDED's sets | 10 | 50.2 ± 0.3 | 57.0 ± 1.0 (n = 3) | RDED, Table 2 |"
    assert shown in text_of([published])
    assert "epochs" in text_of([missing])
