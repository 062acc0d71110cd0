"""ResNets, as torchvision builds them, and with the stem for small images that the field calls `_modified`.

Reference: torchvision `models/resnet.py` (v1.5 bottlenecks: the stride is in the 3x3 convolution); the
modified stem, a 3x3 convolution of stride 1 without max-pooling, is RDED's and GIFT's `resnet18_modified`.
"""

from typing import Any

import jax
from flax import nnx

from gift_jax.models.layers import Classifier, linear, stage_outputs, torch_kernel_init
from gift_jax.models.norms import conv_norm
from gift_jax.models.pooling import max_pool

# Depth -> (blocks a stage, whether they are bottlenecks).
STAGES: dict[int, tuple[tuple[int, int, int, int], bool]] = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
EXPANSION = 4


class Block(nnx.Module):
    """A residual block: `relu(branch(x) + shortcut(x))`, the branch two 3x3 convolutions or a 1-3-1 bottleneck."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool, rngs: nnx.Rngs) -> None:
        outputs = width * EXPANSION if bottleneck else width
        if bottleneck:
            self.conv1 = conv_norm(inputs, width, 1, rngs=rngs)
            self.conv2 = conv_norm(width, width, 3, strides=stride, rngs=rngs)
            self.conv3 = conv_norm(width, outputs, 1, rngs=rngs)
        else:
            self.conv1 = conv_norm(inputs, width, 3, strides=stride, rngs=rngs)
            self.conv2 = conv_norm(width, width, 3, rngs=rngs)
        if stride != 1 or inputs != outputs:
            self.downsample = conv_norm(inputs, outputs, 1, strides=stride, rngs=rngs)
        self.bottleneck = bottleneck

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Args: x [B, H, W, inputs]. Returns: [B, H / stride, W / stride, outputs]."""
        shortcut = self.downsample(x, train=train) if hasattr(self, "downsample") else x
        branch = self.conv2(nnx.relu(self.conv1(x, train=train)), train=train)
        if self.bottleneck:
            branch = self.conv3(nnx.relu(branch), train=train)
        return nnx.relu(branch + shortcut)


class ResNet(Classifier):
    """ResNet of a depth in `STAGES`; images [B, H, W, channels] of any side -> logits [B, num_classes]."""

    def __init__(
        self,
        *,
        depth: int,
        num_classes: int,
        image_size: int,
        channels: int = 3,
        small_images: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        counts, bottleneck = STAGES[depth]
        expansion = EXPANSION if bottleneck else 1

        def stage(index: int) -> nnx.List:
            width = 64 * 2**index
            first = (width // 2 * expansion, width, 2) if index else (64, width, 1)
            others = [(width * expansion, width, 1)] * (counts[index] - 1)
            return nnx.List([Block(*shape, bottleneck=bottleneck, rngs=rngs) for shape in (first, *others)])

        self.small_images = small_images
        # The modified stem replaces the other after torchvision's initialisation: it has Conv2d's own.
        options: dict[str, Any] = {"kernel_init": torch_kernel_init} if small_images else {"strides": 2}
        self.stem = conv_norm(channels, 64, 3 if small_images else 7, **options, rngs=rngs)
        self.layer1, self.layer2, self.layer3, self.layer4 = (stage(index) for index in range(4))
        self.fc = linear(512 * expansion, num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the stem (after pooling) and of the four stages. Args: images [B, H, W, channels]."""
        x = nnx.relu(self.stem(images, train=train))
        if not self.small_images:
            x = max_pool(x, 3, stride=2, padding=1)
        return stage_outputs(x, (self.layer1, self.layer2, self.layer3, self.layer4), train=train)
