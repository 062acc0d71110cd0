"""`python -m convert export`: a teacher directory becomes a PyTorch state dict again."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from gift_jax.data.evaluation import load_evaluation
from gift_jax.data.network_input import to_input
from gift_jax.evaluate import in_batches
from gift_jax.models import Variables
from gift_jax.teachers.teacher import TeacherInfo, flatten, load_teacher, load_weights

from .families import find_family
from .hub.config import make_config
from .rules import to_torch
from .teacher import make_reference, reference_logits
from .torch_file import check_ending, save_state

BATCH = 500


def official_state(info: TeacherInfo, params: Variables, batch_stats: Variables) -> dict[str, np.ndarray]:
    """A teacher's weights under the official PyTorch names, bit for bit."""
    flat = {"params": flatten(params), "batch_stats": flatten(batch_stats)}
    rules = find_family(info.architecture).rules(info.spec)
    return to_torch(jax.tree.map(np.asarray, flat), rules, batches_tracked=info.batches_tracked)


def export(directory: Path, out: Path) -> dict[str, np.ndarray]:
    """Write a teacher's weights under the official PyTorch names, as `save_state` does; they load with `strict=True`.

    Returns: the state dict. Raises: GiftError if something else is there, or out has another ending.
    """
    check_ending(out)
    info, *variables = load_weights(directory)
    state = official_state(info, *variables)
    done = "exists " if out.exists() else "written"
    save_state(out, state, make_config(info, find_family(info.architecture).head(info.spec)))
    print(f"{done:<10}{out}: {len(state)} tensors of {info.architecture}")
    mean, std = (" ".join(map(str, values)) for values in (info.normalisation.mean, info.normalisation.std))
    known = out.suffix.lower() == ".safetensors"
    told = "as its metadata tell `convert teacher`" if known else "give these to convert it back"
    print(f"images    normalised by --mean {mean} --std {std}; {told}")
    return state


def compare(directory: Path, state: Mapping[str, np.ndarray], data: str) -> int:
    """Print how many test images PyTorch classifies as the teacher does, and the largest difference of logits.

    Args: data, where the test images are. Returns: images that they disagree about. Raises: GiftError.
    """
    teacher = load_teacher(directory)
    info = teacher.info
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    module = make_reference(find_family(info.architecture), info.spec, tensors)
    images = load_evaluation(info.dataset, image_size=info.image_size, source=data).images

    def logits(batch: np.ndarray) -> tuple[np.ndarray, jax.Array]:
        inputs = np.asarray(to_input(jnp.asarray(batch), "raw", info.normalisation))
        return reference_logits(module, inputs), teacher.logits(inputs)

    theirs, ours = in_batches(logits, BATCH, images, pad=False)
    differing, largest = int((ours.argmax(1) != theirs.argmax(1)).sum()), float(np.abs(ours - theirs).max())
    found = "equal predictions on all of them" if not differing else f"other predictions on {differing} of them"
    print(f"compared  on {len(images)} test images with PyTorch: {found}, largest logit difference {largest:.1e}")
    return differing
