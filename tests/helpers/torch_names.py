"""The official ConvNet's state dict, as NumPy arrays, to this library's variables: the tests' own mapping.

Deliberately independent of `convert`, so that golden values also check the library where torch is missing.
"""

import numpy as np


def to_variables(state, dtype=np.float32):
    """`layers.conv.0.weight` ... -> (params, batch_stats), nested dictionaries."""
    array = {name: np.asarray(value, dtype) for name, value in state.items() if "num_batches" not in name}
    blocks, stats = {}, {}
    for i in range(sum(name.startswith("layers.conv.") and name.endswith(".weight") for name in array)):
        conv, norm = f"layers.conv.{i}", f"layers.norm.{i}"
        blocks[i] = {
            "conv": {"kernel": array[f"{conv}.weight"].transpose(2, 3, 1, 0), "bias": array[f"{conv}.bias"]},
            "norm": {"scale": array[f"{norm}.weight"], "bias": array[f"{norm}.bias"]},
        }
        if f"{norm}.running_mean" in array:
            stats[i] = {"norm": {"mean": array[f"{norm}.running_mean"], "var": array[f"{norm}.running_var"]}}
    weight, width = array["classifier.weight"], array["layers.conv.0.bias"].shape[0]
    side = int((weight.shape[1] // width) ** 0.5)
    rows = weight.reshape(-1, width, side, side).transpose(2, 3, 1, 0)
    classifier = {"kernel": rows.reshape(-1, weight.shape[0]), "bias": array["classifier.bias"]}
    return {"blocks": blocks, "classifier": classifier}, {"blocks": stats} if stats else {}


def sub_state(file, prefix):
    """The arrays of an npz below a prefix, without it."""
    return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
