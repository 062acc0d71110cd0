"""Live PyTorch ConvNets in both published layouts, with weights and statistics that are not the initial ones."""

import torch
from torch import nn

from convert.families.convnet import Reference
from gift_jax.models import ModelSpec

NORMS = ("batch", "instance", "group", "layer", "none")


def spec(norm="batch", *, depth=2, width=8, size=16, classes=10, channels=3):
    options = {name: value for name, value in (("norm", norm), ("width", width)) if value not in ("batch", 128)}
    return ModelSpec(f"conv{depth}", classes, size, channels, tuple(sorted(options.items())))


def randomised(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator) * 0.5
            tensor.copy_(tensor + noise if "running_var" not in name else 0.5 + noise)
        else:
            tensor.fill_(7)
    return module.eval()


def official(model_spec, seed=0):
    return randomised(Reference(model_spec), seed)


def dc_names(model_spec, state):
    """The same weights under DC/MTT/DATM's names: one Sequential of conv, norm, ReLU, pool."""
    stride = 3 if dict(model_spec.options).get("norm") == "none" else 4
    renamed = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "layers":
            offset = {"conv": 0, "norm": 1}[parts[1]]
            name = f"features.{stride * int(parts[2]) + offset}.{parts[3]}"
        renamed[name] = tensor
    return renamed


def dc_module(model_spec):
    """DC's module itself, to see that `dc_names` are its names."""
    reference = Reference(model_spec)
    layers = []
    for convolution, norm in zip(reference.layers["conv"], reference.layers["norm"], strict=True):
        norms = [] if isinstance(norm, nn.Identity) else [norm]
        layers += [convolution, *norms, nn.ReLU(inplace=True), nn.AvgPool2d(2, 2)]
    return nn.ModuleDict({"features": nn.Sequential(*layers), "classifier": reference.classifier})
