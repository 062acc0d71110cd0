"""Figures that others published.

Sources: RDED (CVPR 2024), Table 2; of DC's sets what their owner measured and saved in them (`accs_all_exps`;
github.com/Distill-Generalization-Group/Distill-Generalization, folder result). Both on CIFAR-10's original pixels.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """A figure in percent with its standard deviation over n runs, where these are told, and its source."""

    mean: float
    std: float | None
    n: int | None
    source: str

    def __str__(self) -> str:
        return f"{self.mean:g}" + (f" ± {self.std:g}" if self.std else "") + (f" (n = {self.n})" if self.n else "")


RDED_TABLE, DC_FILE = "RDED, Table 2", "the set's file"
TEACHERS: Mapping[tuple[str, str], Published] = {("cifar10", "conv3"): Published(82.24, None, None, "GIFT's README")}
"""By dataset and architecture."""
PUBLISHED: Mapping[str, Mapping[tuple[str, int], Published]] = {
    "cifar10": {
        ("rded", 1): Published(23.5, 0.3, None, RDED_TABLE),
        ("rded", 10): Published(50.2, 0.3, None, RDED_TABLE),
        ("rded", 50): Published(68.4, 0.1, None, RDED_TABLE),
        ("dc", 1): Published(26.46, 0.71, 10, DC_FILE),
        ("dc", 10): Published(42.20, 0.43, 10, DC_FILE),
    }
}
"""By dataset, question and images a class."""

SOURCE = "https://github.com/VICO-UoE/DatasetCondensation, readme.md, Tables 1 and 2"
# Top-1 in percent by images per class, of a ConvNet-3 of width 128 with InstanceNorm and no teacher. There are no
# figures of DM and MTT for Fashion-MNIST.
LITERATURE: Mapping[str, Mapping[int, float]] = {
    "DC": {1: 70.5, 10: 82.3, 50: 83.6},
    "DSA": {1: 70.6, 10: 84.6, 50: 88.7},
}
