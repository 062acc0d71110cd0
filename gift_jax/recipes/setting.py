"""What a recipe is resolved for."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.errors import GiftError

Value = TypeVar("Value")


Rates = Mapping[str, Mapping[str, Mapping[int, tuple[float, int]]]]
"""(learning rate, how many times as long as the run the cosine is) by dataset, model and images a class."""


class Setting(NamedTuple):
    """A distilled set and a student: names, images a class, and the learning rate that DATM learns with its images.

    formed says that images were cut out of larger ones, which held several (IDC's multi-formation).
    """

    method: str
    dataset: str
    model: str
    ipc: int
    learning_rate: float | None = None
    formed: bool = False

    @property
    def num_images(self) -> int:
        """Images of the set. Raises: GiftError if the dataset is unknown."""
        return self.ipc * get_dataset(self.dataset).num_classes


def setting_of(distilled: DistilledSet, model: str) -> Setting:
    """The setting of a distilled set and a student's architecture."""
    rate, formed = distilled.learning_rate, distilled.formation > 1
    return Setting(distilled.method, distilled.dataset, model, distilled.ipc, rate, formed)


def of_dataset(recipes: Mapping[str, Value], name: str, setting: Setting) -> Value:
    """A method's entry for the setting's dataset. Raises: GiftError that lists the datasets it has."""
    if setting.dataset not in recipes:
        raise GiftError(
            f"recipe {name!r} has no settings for {setting.dataset}, only for {', '.join(recipes)}; choose another "
            "recipe, or write a Recipe"
        )
    return recipes[setting.dataset]


def of_model(rates: Rates, name: str, setting: Setting) -> tuple[float, int]:
    """A method's rates for dataset, model (a `_modified` one as the other) and images a class.

    Raises: GiftError that lists the datasets, the models or the numbers of images it has.
    """
    by_model = of_dataset(rates, name, setting)
    model = setting.model.removesuffix("_modified")
    known = [f"{one} with {', '.join(map(str, by_ipc))}" for one, by_ipc in by_model.items()]
    if model not in by_model or setting.ipc not in by_model[model]:
        raise GiftError(
            f"recipe {name!r} has no settings for {setting.model} and {setting.ipc} images a class of "
            f"{setting.dataset}, only for {'; '.join(known)}; choose another recipe, or write a Recipe"
        )
    return by_model[model][setting.ipc]
