"""Live PyTorch ConvNets in both published layouts, with weights and statistics that are not the initial ones."""

import torch
from torch import nn

from convert.families.convnet import Reference
from gift_jax.models import ModelSpec

NORMS = ("batch", "instance", "group", "layer", "none")


def spec(norm="batch", *, depth=2, width=8, size=16, classes=10, channels=3):
    options = {name: value for name, value in (("norm", norm), ("width", width)) if value not in ("batch", 128)}
    return ModelSpec(f"conv{depth}", classes, size, channels, tuple(sorted(options.items())))


def scaled(module, seed=0):
    """Weights and statistics that are not the initial ones, and keep activations near one through a hundred layers."""
    torch.manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("running_mean") or name.endswith("bias"):
            tensor.uniform_(-0.2, 0.2)
        elif name.endswith("layer_scale") or (tensor.is_floating_point() and (tensor.ndim == 1 or (tensor == 1).all())):
            tensor.uniform_(0.5, 1.0)
        elif name.endswith("logit_scale"):
            tensor.uniform_(0.0, 6.0)  # beyond the largest allowed, too
        elif tensor.is_floating_point() and not tensor.any():
            tensor.normal_(std=0.05)
    return module.eval()


def images_of(model_spec, count=4, dtype=torch.float32):
    shape = (count, model_spec.channels, model_spec.image_size, model_spec.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def nhwc(images):
    """As NumPy has them; arrays of other axes as they are."""
    return (images.permute(0, 2, 3, 1) if images.ndim == 4 else images).detach().numpy()


def official(model_spec, seed=0):
    torch.manual_seed(seed)
    return scaled(Reference(model_spec), seed)


def dc_state(reference):
    """The same weights under DC/MTT/DATM's names: one Sequential of conv, norm, ReLU, pool."""
    layers = []
    for convolution, norm in zip(reference.layers["conv"], reference.layers["norm"], strict=True):
        norms = [] if isinstance(norm, nn.Identity) else [norm]
        layers += [convolution, *norms, nn.ReLU(inplace=True), nn.AvgPool2d(2, 2)]
    return nn.ModuleDict({"features": nn.Sequential(*layers), "classifier": reference.classifier}).state_dict()


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
