"""`python -m convert export`: a teacher directory becomes a PyTorch state dict again."""

from pathlib import Path

import jax
import numpy as np

from gift_jax.teachers.teacher import flatten, load_weights

from .families import find_family
from .rules import to_torch
from .torch_file import save_state


def export(directory: Path, out: Path) -> None:
    """Write a teacher's weights under the official PyTorch names.

    `.safetensors` holds the bare state dict, any other suffix `{"model": state_dict}` by `torch.save`; both
    load with `strict=True`. float32 weights are the converted ones bit for bit.
    """
    info, params, batch_stats = load_weights(directory)
    flat = {"params": flatten(params), "batch_stats": flatten(batch_stats)}
    state = to_torch(
        jax.tree.map(np.asarray, flat),
        find_family(info.architecture).rules(info.spec),
        batches_tracked=info.batches_tracked,
    )
    save_state(out, state)
    print(f"written   {out}: {len(state)} tensors of {info.architecture}")
