"""AlexNet, as torchvision builds it. Reference: torchvision `models/alexnet.py`."""

import jax
from flax import nnx

from gift_jax.models.layers import Classifier, conv, dropout, linear
from gift_jax.models.pooling import adaptive_avg_pool, max_pool

POOLED = 6  # side of the feature map in front of the classifier
DROPOUT = 0.5


class AlexNet(Classifier):
    """Five convolutions and three linear layers; images [B, H, W, channels], 63 pixels or more -> logits."""

    def __init__(self, *, num_classes: int, image_size: int, channels: int = 3, rngs: nnx.Rngs) -> None:
        self.conv1 = conv(channels, 64, 11, strides=4, padding=2, rngs=rngs)
        self.conv2 = conv(64, 192, 5, padding=2, rngs=rngs)
        self.conv3 = conv(192, 384, 3, padding=1, rngs=rngs)
        self.conv4 = conv(384, 256, 3, padding=1, rngs=rngs)
        self.conv5 = conv(256, 256, 3, padding=1, rngs=rngs)
        self.fc1 = linear(256 * POOLED**2, 4096, rngs=rngs)
        self.fc2 = linear(4096, 4096, rngs=rngs)
        self.fc3 = linear(4096, num_classes, rngs=rngs)

    def features(self, images: jax.Array, *, train: bool, key: jax.Array | None = None) -> list[jax.Array]:
        """The outputs of the three pooled parts. Args: images [B, H, W, channels]."""
        first = max_pool(nnx.relu(self.conv1(images)), 3, stride=2)
        second = max_pool(nnx.relu(self.conv2(first)), 3, stride=2)
        third = nnx.relu(self.conv4(nnx.relu(self.conv3(second))))
        return [first, second, max_pool(nnx.relu(self.conv5(third)), 3, stride=2)]

    def _classify(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        x = adaptive_avg_pool(x, POOLED).reshape(len(x), -1)
        x = nnx.relu(self.fc1(dropout(x, DROPOUT, key, 0)))
        return self.fc3(nnx.relu(self.fc2(dropout(x, DROPOUT, key, 1))))
