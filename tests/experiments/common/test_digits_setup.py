"""The teacher that studies on the digits find in their directory is the one that they train, or it is refused."""

import pytest

from experiments.common.digits_setup import example_teacher
from gift_jax import GiftError


@pytest.mark.parametrize("changes", [{"architecture": "conv1"}, {"dataset": "cifar10"}], ids=["model", "dataset"])
def test_another_teacher_is_refused(changes, save_random_teacher, tmp_path):
    info = save_random_teacher(tmp_path / "teacher", **changes)
    with pytest.raises(GiftError, match=f"is a {info.architecture} of {info.dataset}, not the conv2 of digits"):
        example_teacher(tmp_path)


def test_a_teacher_of_another_checkpoint_than_the_one_beside_it_is_refused(save_random_teacher, tmp_path):
    save_random_teacher(tmp_path / "teacher")
    example_teacher(tmp_path)
    (tmp_path / "teacher.pth").write_bytes(b"another")
    with pytest.raises(GiftError, match="was not converted from"):
        example_teacher(tmp_path)
