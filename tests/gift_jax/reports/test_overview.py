"""Losses at two rates beside each other, and their rates over their gradients."""

from gift_jax.reports import overview
from gift_jax.reports.tables import Grid, Summary


def grid_at(level):
    cells = {
        (loss, name): Summary(level + place, 1.0, 3) for place, loss in enumerate("ab") for name in ("sgd", "adam")
    }
    return Grid(("a", "b"), ("sgd", "adam"), cells)


def test_every_optimizer_is_drawn_at_both_rates_with_lines_to_compare_with():
    picture = overview.two_rates(
        "one", grid_at(50.0), grid_at(70.0), "Title", {"guessing": 10.0, "all images": 91.5}, order=("b", "a")
    )
    assert picture.alt == "Title: b, a under sgd, adam, mean and standard deviation; guessing 10.0 %, all images 91.5 %"
    for label in ("sgd, customary rate", "sgd, tuned rate", "adam, customary rate", "adam, tuned rate", "all images"):
        assert f">{label}<" in picture.content
    assert picture.content.index(">b<") < picture.content.index(">a<")


def test_losses_of_nearly_one_norm_are_named_together():
    norms, rates = {"gift": 0.1, "ce": 2.0, "cosine": 0.11}, {"sgd": {"gift": 1.0, "ce": 0.1, "cosine": 1.0}}
    picture = overview.rates_by_gradient("two", norms, rates, "Title", 0.15)
    assert ">gift, cosine<" in picture.content
    assert ">ce<" in picture.content
    assert ">rate x norm = 0.15<" in picture.content
