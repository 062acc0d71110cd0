"""What a training run does: one frozen dataclass, defaulting to the official GIFT recipe."""

import dataclasses
import itertools
from numbers import Integral

from gift_jax.data.datasets import Normalisation
from gift_jax.errors import GiftError, unknown_name
from gift_jax.losses import LOSSES
from gift_jax.optim import Optimizer, OptionValue, Schedule
from gift_jax.pixels.dsa import DSA_STRATEGY, make_strategy
from gift_jax.pixels.mixing import MIXINGS
from gift_jax.pixels.rand_augment import make_rand_augment, split_strategy

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run with a loss of its own: the epochs between two shares of all, each a fraction, rounded down.

    loss is a name in `LOSSES`, with (name, value) pairs of its options.
    Raises: GiftError for an unknown name, or shares that are not in [0, 1] and one after the other.
    """

    start: tuple[int, int]
    stop: tuple[int, int]
    loss: str = "ce"
    loss_options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if not 0 <= self.start[0] / self.start[1] < self.stop[0] / self.stop[1] <= 1:
            raise GiftError(f"a phase goes from a share of the epochs to a later one, not {self.start} to {self.stop}")

    def span(self, epochs: int) -> range:
        """Which of so many epochs, counted from 0, are in it."""
        return range(*(numerator * epochs // denominator for numerator, denominator in (self.start, self.stop)))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training run, without its data, models and seed.

    loss is a name in `LOSSES`, with (name, value) pairs of its options. batch_size None is the official choice for the
    number of images. augment is a DSA strategy, of which single_operation applies one operation a batch
    (`make_strategy`); `rand-m6-n2+flip` has RandAugment of the set's 8-bit pixels before all else
    (`gift_jax.pixels.rand_augment`). factor > 1 crops cells out of factor x factor mosaics, shuffle > 1 reorders
    shuffle x shuffle cells, smallest_crop is the least share of the area in a random resized crop (None: no crop).
    jitter and lighting change the colours of raw pixels by as much, as IDC does on ImageNet (`gift_jax.pixels.colors`).
    mix is `none`, `mixup` or `cutmix`, of a share mix_probability of the batches; with mix_labels the partners' hard
    labels weigh as much as their pixels. phases are parts of the run with another loss. With ema, a decay, the student
    is tested at that moving average of its weights. precision is of the networks' arithmetic: weights, losses and
    statistics are always float32. normalisation None is the teacher's, or without one the dataset's. The student is
    evaluated `evaluations` times, the last one at the end. max_steps cuts every epoch short, to try a recipe out.
    Raises: GiftError for an unknown name or a number out of range.
    Reference: the defaults are the official GIFT code's, `eval_syn_data.py`.
    """

    loss: str = "gift"
    loss_options: tuple[tuple[str, OptionValue], ...] = ()
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    epochs: int = 1000
    batch_size: int | None = None
    augment: str = DSA_STRATEGY
    single_operation: bool = False
    factor: int = 1
    shuffle: int = 1
    smallest_crop: float | None = None
    jitter: float = 0.0
    lighting: float = 0.0
    mix: str = "none"
    mix_probability: float = 1.0
    mix_labels: bool = True
    phases: tuple[Phase, ...] = ()
    ema: float | None = None
    normalisation: Normalisation | None = None
    precision: str = "float32"
    evaluations: int = 4
    max_steps: int | None = None

    def __post_init__(self) -> None:
        choices = (("loss", self.loss, LOSSES), ("mix", self.mix, MIXINGS), ("precision", self.precision, PRECISIONS))
        for option, value, known in choices:
            if value not in known:
                raise unknown_name(option, value, known)
        for option in ("epochs", "factor", "shuffle", "evaluations", "batch_size", "max_steps"):
            if (value := getattr(self, option)) is not None and (not isinstance(value, Integral) or value < 1):
                raise GiftError(f"{option} must be a whole number from 1, not {value}")
        if self.smallest_crop is not None and not 0 < self.smallest_crop <= 1:
            raise GiftError(f"smallest_crop must be above 0 and at most 1, not {self.smallest_crop}")
        for option in ("mix_probability", "jitter", "lighting", "ema"):
            if (share := getattr(self, option)) is not None and not 0 <= share <= 1:
                raise GiftError(f"{option} must be from 0 to 1, not {share}")
        rand, strategy = split_strategy(self.augment)
        make_rand_augment(rand)
        make_strategy(strategy)

    @property
    def parts(self) -> tuple[tuple[range, "Recipe"], ...]:
        """The epochs from one border of phases to the next, and the recipe as it is in them."""
        spans = [phase.span(self.epochs) for phase in self.phases]
        borders = sorted({0, self.epochs, *(border for span in spans for border in (span.start, span.stop))})
        return tuple((range(*pair), self.during(pair[0])) for pair in itertools.pairwise(borders))

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses in the order in which the epochs have them; one, unless there are phases."""
        return tuple(loss for loss, _ in itertools.groupby(one.loss for _, one in self.parts))

    def soft_epochs(self, before: int) -> int:
        """How many of the epochs before this one, counted from 0, read soft labels: all but phases of `ce`."""
        soft = (epochs for epochs, one in self.parts if not self.phases or one.loss != "ce")
        return sum(len(range(epochs.start, min(epochs.stop, before))) for epochs in soft)

    def during(self, epoch: int) -> "Recipe":
        """The recipe as it is in an epoch, counted from 0: with that epoch's loss, and without phases."""
        if not self.phases:
            return self
        found = next((phase for phase in self.phases if epoch in phase.span(self.epochs)), self)
        return dataclasses.replace(self, loss=found.loss, loss_options=found.loss_options, phases=())

    def resolve_batch_size(self, num_images: int) -> int:
        """Images a step: at most num_images."""
        return min(self.batch_size or official_batch_size(num_images), num_images)

    def is_evaluated(self, epoch: int) -> bool:
        """Whether the student is evaluated after this epoch (counted from 1)."""
        every = max(self.epochs // self.evaluations, 1)
        return epoch == self.epochs or epoch % every == 0

    def evaluations_until(self, epoch: int) -> int:
        """How often the student is evaluated up to the end of this epoch, counted from 1."""
        every = max(self.epochs // self.evaluations, 1)
        return epoch // every + (epoch == self.epochs and epoch % every > 0)

    @property
    def num_evaluations(self) -> int:
        """How often the student is evaluated: more often than `evaluations` where that does not divide `epochs`."""
        return self.evaluations_until(self.epochs)


def official_batch_size(num_images: int) -> int:
    """Batch size of the official code for a distilled set: 10, 50, 100 or 200 by its number of images."""
    limits = ((10, 10), (500, 50), (20_000, 100))
    return next((batch for limit, batch in limits if num_images <= limit), 200)
