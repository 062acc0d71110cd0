"""GIFT on ImageNet-1K with ten images a class: ResNet-18 at 224 pixels under torchvision's teacher.

Question: what does the loss add on the largest benchmark? (GIFT, ICLR 2025: over RDED's own loss, +1.8 points with
ResNet-18 and +3.9 with the ConvNet; RDED's README has 42 % for ResNet-18.)
Command: `python -m experiments.imagenet_ipc10 --distilled SET --teacher FILE --data IMAGENET/val`.
Hardware: one GPU or TPU; 300 epochs of 10,000 images. Defaults are the official recipe: RDED's 2 x 2 mosaics taken
apart in training, AdamW at 0.001, multi-step schedule, batches of 100.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gift_jax.runtime import cli

from . import evaluate


@dataclasses.dataclass(frozen=True)
class ImagenetIpc10:
    """Students on ImageNet-1K at ten images a class.

    Args:
        model: resnet18 sees 224 pixels, conv4 64.
        method: whose distilled set.
        loss: name of the loss.
        optimizer: instead of the official recipe's.
        learning_rate: instead of the official recipe's.
        epochs: instead of the official recipe's 300.
        batch_size: instead of the official recipe's 100.
        max_steps: cut every epoch short, to try things out.
        seeds: one student each.
        precision: of the networks' arithmetic; weights, losses and statistics are float32.
        distilled: the set, converted or as published, or a directory in the official layout.
        teacher: converted or as published, or a directory of teachers.
        data: test images, a directory of class folders, `tfds` or `tfds:DIR`.
        class_order: file of class folders by class id.
        out: directory of results.jsonl.
        resume: go on with what is unfinished there, and do nothing that is finished again.
        save_minutes: how often the training state is saved.
        devices: how many take part; by default all accelerators.
        hosts: this is one of several processes, of SLURM or by JAX_COORDINATOR_ADDRESS and its like (docs/scaling.md).
        dry_run: say the plan and stop.
    """

    model: Literal["resnet18", "conv4"] = "resnet18"
    method: str = "rded"
    loss: str = "gift"
    optimizer: str | None = None
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


def main(config: Annotated[ImagenetIpc10, tyro.conf.arg(name="")]) -> None:
    """Run `experiments.evaluate` with these options."""
    options = dataclasses.asdict(config)
    evaluate.run(evaluate.Evaluate(dataset="imagenet-1k", ipc=10, criterion_name=options.pop("loss"), **options))


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.imagenet_ipc10")
