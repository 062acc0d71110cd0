"""The official ConvNet's state dict, as NumPy arrays, to this library's variables: the tests' own mapping.

Deliberately independent of `convert`, so that golden values also check the library where torch is missing.
"""

import numpy as np


def to_variables(state, dtype=np.float32):
    """`layers.conv.0.weight` ... -> (params, batch_stats), nested dictionaries."""
    depth = sum(name.startswith("layers.conv.") and name.endswith(".weight") for name in state)
    array = {name: np.asarray(value, dtype) for name, value in state.items() if "num_batches" not in name}
    params, batch_stats = {"blocks": {}, "classifier": {}}, {"blocks": {}}
    for i in range(depth):
        params["blocks"][i] = {
            "conv": {
                "kernel": array[f"layers.conv.{i}.weight"].transpose(2, 3, 1, 0),
                "bias": array[f"layers.conv.{i}.bias"],
            },
            "norm": {"scale": array[f"layers.norm.{i}.weight"], "bias": array[f"layers.norm.{i}.bias"]},
        }
        if f"layers.norm.{i}.running_mean" in array:
            batch_stats["blocks"][i] = {
                "norm": {"mean": array[f"layers.norm.{i}.running_mean"], "var": array[f"layers.norm.{i}.running_var"]}
            }
    weight = array["classifier.weight"]
    width = array["layers.conv.0.bias"].shape[0]
    side = int((weight.shape[1] // width) ** 0.5)
    rows = weight.reshape(-1, width, side, side).transpose(2, 3, 1, 0)
    params["classifier"] = {"kernel": rows.reshape(-1, weight.shape[0]), "bias": array["classifier.bias"]}
    return params, batch_stats if batch_stats["blocks"] else {}


def sub_state(file, prefix):
    """The arrays of an npz below a prefix, without it."""
    return {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
