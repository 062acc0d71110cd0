"""A teacher's directory as timm writes it: what config.json tells is taken, and what it hides is refused."""

import importlib
import json
import shutil

import numpy as np
import pytest
import torch
from modules import scaled
from PIL import Image
from timm_teachers import load_timm

import gift_jax
from convert.hub.config import Described, find_weights, read_config
from gift_jax.data.datasets import DatasetSpec, Normalisation, describe_dataset, get_dataset
from gift_jax.data.evaluation import load_evaluation
from gift_jax.data.transforms import Preprocessing, make_transform
from gift_jax.errors import GiftError

pytestmark = pytest.mark.filterwarnings("ignore")  # timm's own
SIDE = 32
OWN = {"input_size": (3, SIDE, SIDE), "crop_pct": 0.9, "interpolation": "bicubic"}
STATISTICS = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A ResNet-18 of ten classes, and the directory that timm wrote of it."""
    timm = load_timm()
    module = scaled(timm.create_model("resnet18", num_classes=10))
    directory = tmp_path_factory.mktemp("hub") / "resnet18"
    write = importlib.import_module("timm.models").save_for_hf
    write(module, directory, safe_serialization=True, data_config={**OWN, **STATISTICS})
    return module, directory


@pytest.fixture
def directory(saved, tmp_path):
    """A copy to change; its weights are a link."""
    shutil.copytree(saved[1], tmp_path / "copy", copy_function=lambda a, b: shutil.copy(a, b, follow_symlinks=False))
    return tmp_path / "copy"


def write_pictures(root):
    """One picture a class, none of them square; returns their paths."""
    rng = np.random.default_rng(0)
    paths = [root / f"{label:05d}" / "0.png" for label in range(10)]
    for label, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        noise = rng.integers(0, 256, (9 + label, 12, 3), np.uint8)
        Image.fromarray(noise).resize((60, 40 + 3 * label), Image.Resampling.BICUBIC).save(path)
    return paths


def timms_configuration(directory):
    """What timm itself makes of the file, for its own transforms."""
    content = json.loads((directory / "config.json").read_text())
    return importlib.import_module("timm.data").resolve_data_config(pretrained_cfg=content["pretrained_cfg"])


def test_what_timm_wrote_is_taken_and_test_images_are_timms(saved, tmp_path):
    directory = saved[1]
    told = read_config(find_weights(directory))
    assert told == Described(
        "resnet18", SIDE, Normalisation(**STATISTICS), Preprocessing(0.9, "bicubic"), classes=10, channels=3
    )
    paths = write_pictures(tmp_path / "val")
    ours = make_transform(get_dataset("cifar10"), SIDE, told.preprocessing)
    transform = importlib.import_module("timm.data").create_transform(**timms_configuration(directory), normalize=False)
    for path in paths:
        pixels = transform(Image.open(path)).numpy()
        np.testing.assert_array_equal(ours(path.read_bytes(), path.name), pixels.transpose(1, 2, 0))


@pytest.mark.exhaustive
def test_logits_of_real_images_are_timms(saved, done, tmp_path):
    """From the files on, by the teacher's own preprocessing, as near as conversion is."""
    module, directory = saved
    out = done("teacher", directory, "--dataset", "cifar10", "--out", tmp_path / "t")
    assert "tested    on images at crop_pct 0.9, bicubic" in out
    teacher = gift_jax.load_teacher(tmp_path / "t")
    info = teacher.info
    assert (info.architecture, info.image_size, info.num_classes) == ("resnet18", SIDE, 10)
    paths = write_pictures(tmp_path / "val")
    ours = load_evaluation(
        "cifar10", image_size=SIDE, source=tmp_path / "val", cache=tmp_path / "cache", preprocessing=info.preprocessing
    )
    transform = importlib.import_module("timm.data").create_transform(**timms_configuration(directory))
    with torch.inference_mode():
        theirs = module(torch.stack([transform(Image.open(path)) for path in paths])).numpy()
    found = teacher.logits(gift_jax.to_input(ours.images, "raw", info.normalisation))
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())


def changed(directory, **changes):
    """Change the configuration; keys of `pretrained_cfg` begin with `own_`."""
    content = json.loads((directory / "config.json").read_text())
    for name, value in changes.items():
        place = content["pretrained_cfg"] if name.startswith("own_") else content
        place[name.removeprefix("own_")] = value
    (directory / "config.json").write_text(json.dumps(content))


CLASSES, GREY = [*get_dataset("fashion-mnist").class_names], {"own_mean": [0.3], "own_std": [0.3]}
TWICE, FASHION = [*CLASSES[:9], CLASSES[0]], ("--dataset", "fashion-mnist")
REFUSED = {
    "other order": ({"label_names": CLASSES[::-1], **GREY}, FASHION, "another order; give --rows 9 8 7 6 5 4 3 2 1 0"),
    "a class twice": ({"label_names": TWICE, **GREY}, FASHION, "T-shirt/top where fashion-mnist has Ankle boot"),
    "other padding": ({"architecture": "tf_efficientnet_b0"}, (), "pads and normalises as TensorFlow does"),
    "unknown": ({"architecture": "resnet50d"}, (), "the architecture 'resnet50d' is unknown; known are conv1"),
    "activation": ({"model_args": {"num_classes": 10, "act_layer": "silu"}}, (), "built with act_layer='silu', which"),
    "pool": ({"model_args": {"global_pool": "max"}}, (), "built with global_pool='max', which computes something else"),
    "crop": ({"own_crop_mode": "squash"}, (), "cropped as crop_mode 'squash', which is not known here"),
    "interpolation": ({"own_interpolation": "random"}, (), "interpolation is 'random', expected one of nearest,"),
    "share": ({"own_crop_pct": 1.5}, (), "crop_pct is 1.5, expected a share above 0"),
    "not square": ({"own_input_size": [3, 32, 64]}, (), "takes images of 32 x 64 pixels; only square ones"),
    "one of two": ({"own_std": None}, (), "tells mean alone; add the other one"),
    "of another kind": ({"own_input_size": "large"}, (), "a field is of another kind than timm writes"),
    "another model": ({}, ("--model", "conv3"), "is a resnet18, as its config.json says, but --model is conv3"),
    "another stem": ({}, ("--model", "resnet18_modified"), "its first convolution is 7 pixels wide"),
    "classes": ({}, ("--dataset", "cifar100"), "has 10 outputs, but the dataset has 100 classes"),
    "another dataset": ({"gift_jax": {"dataset": "svhn"}}, (), "was trained on svhn, as its config.json says, but"),
    "classes at the top": (
        {"num_classes": 3, "model_args": {"num_classes": 10}},
        (),
        "contradicts itself in the number of classes (3 by num_classes, 10",
    ),
    "names": ({"label_names": ["cat", "dog"]}, (), "2 by label_names); correct it there"),
    "channels": ({"model_args": {"in_chans": 1}}, (), "tells of 1 channels, its weights have 3; correct it there"),
    "no architecture": ({"architecture": None}, (), "does not tell its architecture; give --model"),
}


@pytest.mark.parametrize(("changes", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_config_json_tells_is_not_passed_over(changes, options, message, directory, refused):
    changed(directory, **changes)
    options = options if "--dataset" in options else (*options, "--dataset", "cifar10")
    refused("teacher", directory, *options, message=message)


def test_nothing_is_guessed_that_nobody_tells(directory, refused):
    refused("teacher", directory, message="does not tell what it was trained on; give --dataset")
    (directory / "model.safetensors").unlink()
    refused("teacher", directory, message="has a config.json, but holds no weights")


def test_weights_are_the_safe_ones_or_the_only_ones(tmp_path):
    for names, found in (
        (("model.safetensors", "pytorch_model.bin", "other.safetensors"), "model.safetensors"),
        (("pytorch_model.bin",), "pytorch_model.bin"),
        (("teacher.pth",), "teacher.pth"),
    ):
        directory = tmp_path / found
        directory.mkdir()
        for name in ("config.json", *names):
            (directory / name).touch()
        assert find_weights(directory) == directory / found


def test_everything_at_the_top_as_timm_once_wrote_it(directory):
    content = json.loads((directory / "config.json").read_text())
    flat = {**content.pop("pretrained_cfg"), "architecture": "resnet18", "num_features": 512}
    (directory / "config.json").write_text(json.dumps(flat))
    assert read_config(directory / "model.safetensors") == Described(
        "resnet18", SIDE, Normalisation(**STATISTICS), Preprocessing(0.9, "bicubic"), classes=10, channels=3
    )


def test_at_the_size_of_tests_the_share_is_that_of_tests(directory):
    """As timm's `use_test_size` has it."""
    changed(directory, own_test_input_size=[3, 48, 48], own_test_crop_pct=1.0)
    shares = {
        size: read_config(directory / "model.safetensors", size).preprocessing.crop_pct for size in (None, SIDE, 48)
    }
    assert shares == {None: 0.9, SIDE: 0.9, 48: 1.0}


JUNK = (None, 5, -1, "x", [], {}, [1], [[], {}, "x"], {"x": []}, float("nan"), float("inf"), 1e300, True, [3, 1e9, 1e9])


def test_whatever_stands_in_a_field_is_read_or_refused_in_one_sentence(directory, tmp_path):
    content = json.loads((directory / "config.json").read_text()) | {"gift_jax": dict.fromkeys(("dataset", "options"))}
    content["gift_jax"] |= {"dataset_description": None, "ema": False, "usual_preprocessing": False}
    fields = [(content, name) for name in content]
    fields += [(content[part], name) for part in ("pretrained_cfg", "model_args", "gift_jax") for name in content[part]]
    (tmp_path / "model.safetensors").touch()
    sentences = []
    for place, name in fields:
        for junk in JUNK:
            kept, place[name] = place[name], junk
            (tmp_path / "config.json").write_text(json.dumps(content))
            place[name] = kept
            try:
                read_config(tmp_path / "model.safetensors")
            except GiftError as error:
                sentences.append(str(error))
    assert len(sentences) > 100
    assert [text for text in sentences if "\n" in text or not text.startswith(f"{tmp_path / 'config.json'}: ")] == []


def test_transformers_configuration_tells_nothing(directory, tmp_path):
    (directory / "config.json").write_text(json.dumps({"architectures": ["ResNet"], "model_type": "resnet"}))
    assert read_config(directory / "model.safetensors") == Described()
    assert read_config(tmp_path / "model.safetensors") == Described()


def test_of_other_weights_in_the_same_folder_it_tells_nothing(directory):
    (directory / "cifar10_conv3.pth").touch()
    assert read_config(directory / "cifar10_conv3.pth") == Described()
    assert read_config(directory / "model.safetensors").architecture == "resnet18"
    (directory / "model.safetensors").rename(directory / "resnet18.pth")
    assert read_config(directory / "resnet18.pth") == Described()
    with pytest.raises(GiftError, match=r"holds cifar10_conv3.pth, resnet18.pth; give one of them"):
        find_weights(directory)


def test_a_dataset_of_ones_own_comes_with_its_teacher(directory):
    own = DatasetSpec("flowers-of-the-hub", 10, SIDE, Normalisation(**STATISTICS), "here")
    changed(directory, gift_jax={"dataset": own.name, "dataset_description": describe_dataset(own)})
    assert read_config(directory / "model.safetensors").dataset == own.name
    assert get_dataset(own.name).num_classes == 10


@pytest.mark.parametrize("config", [True, False])
def test_weights_in_shards_are_refused_as_such(config, refused, tmp_path):
    folder = tmp_path / "sharded"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(b"")
    if config:
        (folder / "config.json").write_text("{}")
    arguments = ("--dataset", "cifar10", "--model", "resnet18")
    for source in (folder, folder / "model-00002-of-00002.safetensors"):
        refused("teacher", source, *arguments, message="is in shards (model-0000")
