"""Teacher directories: round trip, and every way in which one can be damaged."""

import json
import shutil

import jax
import numpy as np
import pytest
from setups import INFO, make_variables, random_digits

import gift_jax
from gift_jax.errors import GiftError
from gift_jax.models import get_model
from gift_jax.teachers.teacher import load_arrays, load_weights, save_teacher

MISSING = object()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("teachers") / "teacher"
    save_teacher(directory, INFO, *make_variables())
    return directory


@pytest.fixture
def directory(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "teacher")


def test_a_teacher_comes_back_bit_for_bit(directory):
    info, params, batch_stats = load_weights(directory)
    assert info == INFO
    jax.tree.map(np.testing.assert_array_equal, (params, batch_stats), make_variables())


def test_loaded_teacher_classifies_as_the_saved_network(directory):
    teacher = gift_jax.load_teacher(directory)
    images = random_digits(5)[0].astype("f")
    expected, _ = get_model(INFO.spec).apply(*make_variables(), images)
    np.testing.assert_allclose(teacher.logits(images), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert "norm" not in teacher.params["blocks"][0]  # BatchNorm is folded


def test_images_of_another_shape_are_refused(directory):
    with pytest.raises(GiftError, match=r"takes images of shape \(8, 8, 1\), not \(9, 9, 1\)"):
        gift_jax.load_teacher(directory).logits(np.zeros((2, 9, 9, 1), "f"))


def test_saving_over_something_else_is_refused(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(GiftError, match="is not a teacher"):
        save_teacher(tmp_path / "x", INFO, *make_variables())


def test_a_failed_save_leaves_the_old_teacher(directory):
    broken = (object(), object())
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Orbax says
        save_teacher(directory, INFO, {"x": broken}, {})
    assert load_weights(directory)[0] == INFO
    assert [path.name for path in directory.parent.iterdir()] == ["teacher"]


KIND = r"teacher\.json: .*(of the wrong kind|cannot be|not of 1 channels).*; convert the teacher again"
BAD = {
    "field missing": ({"dataset": MISSING}, KIND),
    "normalisation": ({"normalisation": {"mean": [0.1, 0.2], "std": [1, 1]}}, KIND),
    "size": ({"image_size": -8}, KIND),
    **{f"width {width}": ({"options": {"width": width}}, KIND) for width in ([4], 0, False, -4)},
    "another option": ({"options": {"depth": 4}}, "does not take these options"),
    "unknown": ({"architecture": "conv9000"}, "'conv9000' is unknown"),
    "another architecture": ({"architecture": "conv1"}, "is not part of this architecture|is missing|not float32"),
    "another head": ({"num_classes": 11}, r"classifier/bias is float32\[10\], not float32\[11\]"),
    "another norm": ({"options": {"width": 4, "norm": "none"}}, "not part of this architecture"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_a_teacher_json_that_is_damaged_or_of_another_teacher_is_refused(changes, message, directory):
    path = directory / "teacher.json"
    info = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in info.items() if value is not MISSING}))
    with pytest.raises(GiftError, match=message):
        gift_jax.load_teacher(directory)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "\x00"], ids=["empty", "cut", "list", "deep", "zero"])
def test_a_teacher_json_that_is_no_object_is_refused(text, directory):
    (directory / "teacher.json").write_text(text)
    with pytest.raises(GiftError, match=r"teacher\.json"):
        gift_jax.load_teacher(directory)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    params, batch_stats = make_variables()
    params["classifier"]["bias"][3] = np.nan
    save_teacher(tmp_path / "t", INFO, params, batch_stats)
    with pytest.raises(GiftError, match="classifier/bias holds values that are not finite"):
        gift_jax.load_teacher(tmp_path / "t")


def test_a_checkpoint_that_orbax_cannot_read_is_one_sentence(tmp_path):
    """As if somebody had written the digest of a damaged directory himself."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "junk").write_text("junk")
    with pytest.raises(GiftError, match="not a readable checkpoint") as caught:
        load_arrays(tmp_path / "weights", get_model(INFO.spec))
    assert "\n" not in str(caught.value)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(GiftError, match=r"no teacher here .* `python -m convert teacher`"):
        gift_jax.load_teacher(tmp_path / "nowhere")
