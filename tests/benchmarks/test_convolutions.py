"""The profile of a network's convolutions, in small."""

import pytest

pytest.importorskip("torch")
from benchmarks.convolutions import SIDES, Convolution, find_convolutions, make_table, measure


def test_the_convolutions_of_a_network_are_found():
    found = find_convolutions("resnet18_modified-32")
    assert sum(found.values()) == 20
    assert found[Convolution((50, 32, 32, 64), (3, 3, 64, 64), 1, 1)] == 4
    assert found[Convolution((50, 8, 8, 256), (1, 1, 256, 512), 2, 0)] == 1


def test_each_pass_is_timed_on_both_sides():
    layer = Convolution((2, 4, 4, 3), (3, 3, 3, 5), 2, 1)
    times = {side: measure(side, [layer])[0] for side in SIDES}
    assert all(len(passes) == 3 and min(passes) > 0 for passes in times.values())
    table = make_table([{"convolution": str(layer), "layers": 1, **times}]).splitlines()
    assert len(table) == 3
    assert all(line.count("|") == 9 for line in table)
