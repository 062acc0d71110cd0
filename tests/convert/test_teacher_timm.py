"""timm's checkpoints against live timm: its names, and its logits from torchvision's module with those weights."""

import pytest
import torch
from forms import short_form
from modules import scaled
from timm_teachers import load_timm

from convert.families import ALIASES, find_family
from convert.teacher import make_reference
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore")  # timm's own


@pytest.fixture(scope="module")
def timm():
    return load_timm()


# timm's name, the side of the test's image, timm's own options for it.
CASES = {
    "resnet18": (64, {}),
    "resnet50": (64, {}),
    "vit_base_patch16_224": (32, {"img_size": 32}),
    "convnext_tiny": (64, {}),
    "mobilenetv2_100": (64, {}),
    "efficientnet_b0": (64, {}),
    "vgg11": (64, {}),
    "swinv2_tiny_window8_256": (256, {}),
}


@pytest.mark.parametrize("name", short_form(CASES, [name for name in CASES if name != "vgg11"]))
def test_timms_names_give_timms_logits(name, timm, read):
    """This library's logits are compared with torchvision's, of the same weights, in `test_families.py`."""
    size, options = CASES[name]
    module = scaled(timm.create_model(name, num_classes=10, **options))
    content = {"arch": name, "state_dict": module.state_dict()}
    found = read(content, ModelSpec(ALIASES.get(name, name), 10, size), family=name)
    reference = make_reference(find_family(name), found.spec, found.state)
    images = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        ours, theirs = reference.eval()(images), module(images)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    ("name", "asked", "size", "message"),
    [
        ("swinv2_tiny_window8_256", "swin_v2_t", 256, "give --model swinv2_tiny_window8_256 if that is what was"),
        ("swinv2_tiny_window8_256", "swinv2_tiny_window8_256", 224, "give --image-size 256"),
        ("vgg11", "vgg11", 256, "give --image-size 224"),
        ("resnet18d", "resnet18", 64, "holds no resnet18"),
        ("seresnet18", "resnet18", 64, "is not part of this architecture"),
    ],
)
def test_where_timms_mathematics_is_another_it_is_refused(name, asked, size, message, timm, read):
    with torch.device("meta"):
        shapes = timm.create_model(name, num_classes=10).state_dict()
    state = {key: torch.zeros_like(tensor, device="cpu") for key, tensor in shapes.items()}
    with pytest.raises(GiftError, match=message):
        read(state, ModelSpec(ALIASES.get(asked, asked), 10, size), family=asked)


def test_timms_names_of_architectures_are_known():
    assert {name for name in CASES if find_family(name)} == set(CASES)
    with pytest.raises(GiftError, match=r"'tf_efficientnet_b0' is unknown; known are .*vit_base_patch16_224"):
        find_family("tf_efficientnet_b0")
