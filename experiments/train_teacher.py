"""Train a teacher from scratch on real images, as the torchvision reference does.

Question: which teacher? The code that trained the published ones is not published (RDED's issue 5).
Command: `python -m experiments.train_teacher --dataset cifar10 --model resnet18_modified --data data/cifar10/train
--test-data data/cifar10/val --out teachers/cifar10_resnet18_modified`. Published top-1 on CIFAR-10: ResNet-18 93.86 %,
ConvNet-3 82.24 %, for which the defaults here give 82.05 % on a JPEG copy.
Hardware: training images of up to 8 GiB are held in memory; larger sets, such as ImageNet, are decoded on the fly, by a
process a core.

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
