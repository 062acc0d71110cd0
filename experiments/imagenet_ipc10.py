"""Run GIFT on ImageNet-1K at ten images per class, with ResNet-18 at 224 pixels.

Question: what does the loss add on the largest benchmark? (GIFT, ICLR 2025: over RDED's own loss, +1.8 points with
ResNet-18 and +3.9 with the ConvNet; RDED's README has 42 % for ResNet-18.)
Command: `python -m experiments.imagenet_ipc10 --distilled SET --teacher FILE --data IMAGENET/val`.
Hardware: one GPU or TPU; 300 epochs of 10,000 images. Defaults are the official recipe: RDED's 2 x 2 mosaics taken
apart in training, AdamW at 0.001, multi-step schedule, batches of 100. All options are those of `experiments.evaluate`.
"""

import dataclasses
from pathlib import Path

from gift_jax import GiftError
from gift_jax.runtime import cli
from gift_jax.runtime.options import Dataset, ModelName

from .evaluate import Evaluate, run


@dataclasses.dataclass(frozen=True)
class ImagenetIpc10(Evaluate):
    """Students on ImageNet-1K at ten images per class.

    Args:
        model: resnet18 sees 224 pixels, conv4 sees 64.
    """

    dataset: Dataset = "imagenet-1k"
    model: ModelName = "resnet18"
    out: Path = Path("runs/imagenet_ipc10")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.dataset, self.ipc) != ("imagenet-1k", 10):
            raise GiftError("imagenet_ipc10 is about imagenet-1k with 10 images per class; use experiments.evaluate")


def main(config: ImagenetIpc10) -> None:
    """Run `experiments.evaluate` with these options."""
    run(config)


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.imagenet_ipc10")
