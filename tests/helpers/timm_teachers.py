"""timm's networks."""

import importlib
from importlib.util import find_spec

import pytest

from convert.vision import load_torchvision_models


def load_timm():
    """timm, after torchvision, which it imports and which fails by itself beside a CPU build."""
    load_torchvision_models()
    if find_spec("timm") is None:
        pytest.skip("installed by the tests' extra for 3.11")
    return importlib.import_module("timm")
