"""Train a teacher from scratch on real images, as the torchvision reference does.

Question: which teacher? The code that trained the published ones is not published (RDED's issue 5).
Command: `python -m experiments.train_teacher --dataset cifar10 --model resnet18_modified --data data/cifar10/train
--test-data data/cifar10/val --out teachers/cifar10_resnet18_modified`. Published top-1 on CIFAR-10: ResNet-18 93.86 %,
ConvNet-3 82.24 %. Hardware: training images of up to 8 GiB are held in memory; larger sets, such as ImageNet, are
decoded on the fly, by a process a core.
Recipe: SGD 0.1 with momentum 0.9 and weight decay 1e-4, steps (a tenth at each third) or cosine, crops and flips: moves
on the device of images held in memory, random resized crops of those that are decoded on the fly. A ConvNet-3 on
CIFAR-10 takes 12 epochs at 0.05, weight decay 5e-4 and a cosine, images not moved: 82.05 % on a JPEG copy.

The result is a teacher directory like a converted one; `python -m convert export` gives it to PyTorch.
"""

from gift_jax.runtime import cli
from gift_jax.runtime.devices import announce

from .common.teacher_training import TrainTeacher, run


def main(config: TrainTeacher) -> None:
    """Run the experiment."""
    announce()
    run(config)


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.train_teacher")
