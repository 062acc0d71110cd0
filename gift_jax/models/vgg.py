"""VGG without normalisation, as torchvision builds it. Reference: torchvision `models/vgg.py`."""

import itertools

import jax
from flax import nnx

from gift_jax.models.layers import Classifier, conv, dropout, kaiming_normal, linear, normal_init, zeros
from gift_jax.models.pooling import adaptive_avg_pool, max_pool

# Depth -> widths of the convolutions in each of the five parts, which end in a max-pool.
PARTS: dict[int, tuple[tuple[int, ...], ...]] = {11: ((64,), (128,), (256, 256), (512, 512), (512, 512))}
POOLED = 7  # side of the feature map in front of the classifier
DROPOUT = 0.5


class VGG(Classifier):
    """VGG of a depth in `PARTS`; images [B, H, W, channels], 32 pixels or more -> logits [B, num_classes]."""

    def __init__(self, *, depth: int, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        self.depth = depth
        widths = [channels, *(width for part in PARTS[depth] for width in part)]
        options = {"padding": 1, "kernel_init": kaiming_normal, "bias_init": zeros}
        self.convs = nnx.List(conv(i, o, 3, **options, rngs=rngs) for i, o in itertools.pairwise(widths))
        self.fc1, self.fc2, self.fc3 = (
            linear(i, o, kernel_init=normal_init(0.01), bias_init=zeros, rngs=rngs)
            for i, o in ((widths[-1] * POOLED**2, 4096), (4096, 4096), (4096, num_classes))
        )

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the five parts. Args: images [B, H, W, channels]."""
        outputs, x, convolutions = [], images, iter(self.convs)
        for part in PARTS[self.depth]:
            for _ in part:
                x = nnx.relu(next(convolutions)(x))
            x = max_pool(x, 2, stride=2)
            outputs.append(x)
        return outputs

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        x = adaptive_avg_pool(x, POOLED).reshape(len(x), -1)
        x = dropout(nnx.relu(self.fc1(x)), DROPOUT, key, 0)
        return self.fc3(dropout(nnx.relu(self.fc2(x)), DROPOUT, key, 1))
