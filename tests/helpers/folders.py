"""Small trees of real images, as users have them."""

import numpy as np
from PIL import Image


def pixels(seed, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def write_tree(root, folders, per_class=2, size=32):
    """Class folders of PNGs, created in reverse order; the image at (class, number) is pixels(100 class + number)."""
    for label, folder in reversed(list(enumerate(folders))):
        (root / folder).mkdir(parents=True)
        for number in reversed(range(per_class)):
            Image.fromarray(pixels(100 * label + number, size)).save(root / folder / f"{number:03d}.png")
    return root


def expected(classes, per_class=2, size=32):
    images = np.stack([pixels(100 * label + number, size) for label in classes for number in range(per_class)])
    return images, np.repeat(np.arange(len(classes), dtype=np.int32), per_class)
