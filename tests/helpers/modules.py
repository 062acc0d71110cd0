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


class ShortcutBlock(nn.Module):
    """A block of the CIFAR code with `shortcut`."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = shortcut(inputs, width, stride)

    def forward(self, x):
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


def shortcut(inputs, width, stride):
    if stride == 1 and inputs == width:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))


def stages(block):
    """The four stages of a ResNet-18."""
    sizes = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
    return [nn.Sequential(block(inputs, width, stride), block(width, width, 1)) for inputs, width, stride in sizes]


class ShortcutResNet(nn.Module):
    """ResNet-18 of the most copied CIFAR code (head `linear`), and of DC's with BatchNorm (head `classifier`)."""

    def __init__(self, head, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages(ShortcutBlock)
        self.head = head
        setattr(self, head, nn.Linear(512, classes))

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return getattr(self, self.head)(nn.functional.avg_pool2d(x, 4).flatten(1))


class ResidualFunctionBlock(nn.Module):
    """A block of the CIFAR-100 code with `residual_function`."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        first = (nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        second = (nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.residual_function = nn.Sequential(*first, *second)
        self.shortcut = shortcut(inputs, width, stride)

    def forward(self, x):
        return torch.relu(self.residual_function(x) + self.shortcut(x))


class ResidualFunctionResNet(nn.Module):
    """ResNet-18 of the code that most CIFAR-100 networks are trained with."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.conv2_x, self.conv3_x, self.conv4_x, self.conv5_x = stages(ResidualFunctionBlock)
        self.avg_pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = self.conv5_x(self.conv4_x(self.conv3_x(self.conv2_x(self.conv1(x)))))
        return self.fc(self.avg_pool(x).flatten(1))
