"""timm's networks without pretrained weights, whose statistics and biases are not the initial ones."""

import importlib
from importlib.util import find_spec

import pytest
import torch

from convert.vision import load_torchvision_models


def load_timm():
    """timm, after torchvision, which it imports and which fails by itself beside a CPU build."""
    load_torchvision_models()
    if find_spec("timm") is None:
        pytest.skip("installed by the tests' extra for 3.11")
    return importlib.import_module("timm")


def randomised(module):
    """Without biases and statistics that are zero or one, which any other would pass for."""
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(torch.rand_like(tensor) * 0.2)
    return module.eval()
