"""Run GIFT on ImageNet-1K at ten images per class, with ResNet-18 at 224 pixels.

Question: what does the loss add on the largest benchmark? (GIFT, ICLR 2025: over RDED's own loss, +1.8 points with
ResNet-18 and +3.9 with the ConvNet; RDED's README has 42 % for ResNet-18.)
Command: `python -m experiments.imagenet_ipc10 --distilled SET --teacher FILE --data IMAGENET/val`.
Hardware: one GPU or TPU; 300 epochs of 10,000 images. Defaults are the official recipe: RDED's 2 x 2 mosaics taken
apart in training, AdamW at 0.001, multi-step schedule, batches of 100.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from gift_jax.runtime import cli
from gift_jax.runtime.options import Loss, OptimizerName

from . import evaluate
from .common.sources import Method


@dataclasses.dataclass(frozen=True)
class ImagenetIpc10:
    """Students on ImageNet-1K at ten images per class.

    Args:
        model: resnet18 sees 224 pixels, conv4 sees 64.
        method: method that made the distilled set.
        loss: loss in place of GIFT.
        optimizer: optimizer in place of the official AdamW.
        learning_rate: learning rate in place of the official 0.001.
        epochs: epochs in place of the official 300.
        batch_size: batch size in place of the official 100.
        max_steps: cut each epoch short, to try things out.
        seeds: one student is trained for each.
        precision: of the networks' arithmetic; weights, losses and statistics stay float32.
        distilled: the set, or a directory in the official layout.
        teacher: the teacher, or a directory of teachers; `none` takes the labels stored with the set.
        data: test images, as a directory of class folders, `tfds` or `tfds:DIR`.
        class_order: file with a class folder per line, in the order of class ids.
        out: directory of results.jsonl.
        resume: take up unfinished runs there, and repeat none that is finished.
        save_minutes: minutes between two checkpoints.
        devices: how many to use; by default all accelerators.
        hosts: this is one of several processes, under SLURM or with JAX_COORDINATOR_ADDRESS set (docs/scaling.md).
        dry_run: print the plan and stop.
    """

    model: Literal["resnet18", "conv4"] = "resnet18"
    method: Method = "rded"
    loss: Loss = "gift"
    optimizer: OptimizerName | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    max_steps: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    precision: Literal["float32", "bfloat16"] = "float32"
    distilled: Path = Path("syn_data")
    teacher: Path = Path("data/pretrain_models")
    data: str | None = None
    class_order: Path | None = None
    out: Path = Path("runs/imagenet_ipc10")
    resume: bool = True
    save_minutes: float = 5.0
    devices: int | None = None
    hosts: bool = False
    dry_run: bool = False


def main(config: ImagenetIpc10) -> None:
    """Run `experiments.evaluate` with these options."""
    options = dataclasses.asdict(config)
    evaluate.run(evaluate.Evaluate(dataset="imagenet-1k", ipc=10, criterion_name=options.pop("loss"), **options))


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.imagenet_ipc10")
