"""What a recipe is resolved for."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.errors import GiftError

Value = TypeVar("Value")


class Setting(NamedTuple):
    """A distilled set and a student: names, images a class, and the learning rate that DATM learns with its images."""

    method: str
    dataset: str
    model: str
    ipc: int
    learning_rate: float | None = None

    @property
    def num_images(self) -> int:
        """Images of the set. Raises: GiftError if the dataset is unknown."""
        return self.ipc * get_dataset(self.dataset).num_classes


def setting_of(distilled: DistilledSet, model: str) -> Setting:
    """The setting of a distilled set and a student's architecture."""
    learned = distilled.provenance.get("learning_rate")
    return Setting(distilled.method, distilled.dataset, model, distilled.ipc, float(learned) if learned else None)


def of_dataset(recipes: Mapping[str, Value], name: str, setting: Setting) -> Value:
    """A method's entry for the setting's dataset. Raises: GiftError that lists the datasets it has."""
    if setting.dataset not in recipes:
        raise GiftError(
            f"recipe {name!r} has no settings for {setting.dataset}, only for {', '.join(recipes)}; choose another "
            "recipe, or write a Recipe"
        )
    return recipes[setting.dataset]
