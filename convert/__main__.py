"""The command line of conversion. PyTorch and JAX are imported by the command that runs, so that help is quick."""

import contextlib
import ctypes
from pathlib import Path

from gift_jax.runtime import cli, options

from .request import LabelRequest, Request, Source, TeacherRequest


def teacher(request: TeacherRequest) -> None:
    """Convert a PyTorch teacher (.pth, .pt, .safetensors) and verify it against PyTorch.

    Example: `python -m convert teacher cifar10_conv3.pth --dataset cifar10 --model conv3 --out teachers/cifar10_conv3`
    """
    from gift_jax.runtime.devices import announce

    from .teacher import convert_teacher

    announce()
    convert_teacher(request)


def zoo(source: Source, /, *, out: Path) -> None:
    """Convert every published teacher that is there, and say what is missing and where it is published.

    Args:
        source: directory of the downloaded files, under their official names.
        out: directory of the teacher directories.

    Example: `python -m convert zoo DOWNLOADS --out teachers`
    """
    from gift_jax.runtime.devices import announce

    from .zoo import convert_zoo

    announce()
    convert_zoo(source, out)


def export(directory: Source, /, *, out: Path, data: str | None = None) -> None:
    """Write a teacher directory as a PyTorch state dict.

    Args:
        directory: a teacher that `convert teacher` wrote.
        out: file to write: .safetensors, or else {"model": state_dict} by torch.save.
        data: test images, on all of which PyTorch's predictions are then compared with the teacher's.

    Example: `python -m convert export teachers/cifar10_conv3 --out cifar10_conv3.pth`
    """
    from .export import compare
    from .export import export as run

    state = run(directory, out)
    if data is not None:
        compare(directory, state, data)


def distilled(request: Request) -> None:
    """Convert a released distilled set to one safetensors file.

    Example: `python -m convert distilled SET.zip --method sre2l --dataset imagenet-1k --ipc 10 --out SET.safetensors`
    """
    from .distilled import convert_distilled

    convert_distilled(request)


def fkd(request: LabelRequest) -> None:
    """Import stored soft labels (of SRe2L, G-VBSM, EDC, WMDD, LPLD, LPQLD or HALD), so that training needs no teacher.

    Example: `python -m convert fkd FKD_cutmix_fp16.tar.gz --distilled sre2l_ipc50.safetensors --out fkd_labels`
    """
    from .fkd import convert_fkd

    convert_fkd(request)


def push(source: Source, /, *, out: Path, repo: str = "OWNER/NAME", license: str = "unknown") -> None:
    """Write a distilled set or a teacher as a directory for the Hugging Face Hub, with a card; nothing is uploaded.

    Args:
        source: safetensors file of a set, or directory of a teacher.
        out: directory to write: Parquet shards of a set; model.safetensors and config.json of a teacher.
        repo: its name on the Hub, for the card.
        license: its licence, in the Hub's words, such as mit or cc-by-4.0.

    Example: `python -m convert push teachers/cifar10_conv3 --out upload --repo OWNER/NAME --license mit`
    """
    from .hub.push import push as run

    run(source, out, repo=repo, licence=license)


def example_teacher(*, out: Path, epochs: options.Count = 30, seed: int = 0) -> None:
    """Train a small PyTorch teacher on scikit-learn's digits and save it as the torchvision reference does.

    Args:
        out: .pth file to write.
        epochs: passes over the training digits.
        seed: of weights and batches.

    Example: `python -m convert example-teacher --out runs/teacher.pth`
    """
    from .example_teacher import train_example

    train_example(out, epochs=epochs, seed=seed)


def return_freed_memory() -> None:
    """Have glibc hand freed arrays back to the system: it would keep a checkpoint's size twice over.

    Converting a ResNet-50 then takes half of the memory (`benchmarks/conversion.py`); elsewhere nothing happens.
    """
    mmap_threshold, arena_max = -3, -8  # of malloc.h
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(mmap_threshold, 2**16)
        ctypes.CDLL(None).mallopt(arena_max, 2)


COMMANDS = {
    function.__name__.replace("_", "-"): function
    for function in (teacher, zoo, export, distilled, fkd, push, example_teacher)
}


if __name__ == "__main__":
    return_freed_memory()
    cli.run(COMMANDS, program="python -m convert")
