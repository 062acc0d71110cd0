"""Importing torchvision where its compiled operators do not load, as beside a CPU build of torch."""

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import torch

from gift_jax.errors import GiftError

_defined: list[torch.library.Library] = []


def load_torchvision_models() -> ModuleType:
    """`torchvision.models`. Raises: GiftError if torchvision is not installed.

    Where the plain import fails for want of its compiled operators, their names are defined first, without
    implementations: they are for detection, and no model here calls them.
    """
    try:
        return importlib.import_module("torchvision.models")
    except ModuleNotFoundError:
        raise GiftError("ResNets are verified against torchvision; run `pip install torchvision`") from None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    _define_operators()
    return importlib.import_module("torchvision.models")


def _define_operators() -> None:
    package = importlib.util.find_spec("torchvision")
    assert package is not None
    assert package.origin is not None
    source = (Path(package.origin).parent / "_meta_registrations.py").read_text(encoding="utf-8")
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted(set(re.findall(r'register_meta\("(\w+)"|torchvision::(\w+)"', source))):
        library.define(f"{''.join(name)}() -> ()")
    _defined.append(library)  # a library that is collected takes its definitions with it
