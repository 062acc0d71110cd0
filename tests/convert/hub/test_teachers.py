"""Teachers as repositories, beside timm: where it has the architecture, it loads what is written, with equal logits."""

import importlib
import json

import pytest
import torch
from forms import short_form
from modules import scaled
from timm_teachers import load_timm

from convert.families import TIMM, find_family
from convert.hub.config import make_config, read_config, written_form
from convert.torch_file import save_state
from gift_jax.data.datasets import IMAGENET_NORMALISATION
from gift_jax.data.transforms import Preprocessing
from gift_jax.teachers.teacher import TeacherInfo

pytestmark = pytest.mark.filterwarnings("ignore")  # timm's own
# Our name, and the side of the input.
SIZES = dict.fromkeys(TIMM, 32) | {"swin_v2_t": 256}


def make_info(name, size, **changes):
    fields = {"options": {}, "normalisation": IMAGENET_NORMALISATION, "source_file": "w.pth", "source_sha256": "0" * 64}
    return TeacherInfo(name, "cifar10", 10, size, 3, verification=None, versions={}, **{**fields, **changes})


@pytest.mark.parametrize("name", short_form(TIMM, ["mobilenet_v2", "resnet18"]))
def test_timm_loads_it_with_torchvisions_logits(name, tmp_path):
    """Weights under the official names are those of this library, which `test_families.py` compares."""
    timm, size = load_timm(), SIZES[name]
    info = make_info(name, size, preprocessing=Preprocessing(0.9, "bicubic"))
    reference = scaled(find_family(name).reference(info.spec))
    if name == "swin_v2_t":
        for attention in (module for module in reference.modules() if hasattr(module, "qkv")):
            attention.qkv.bias.data.chunk(3)[1].zero_()  # torchvision passes the keys' biases over
    state = {key: tensor.numpy() for key, tensor in reference.state_dict().items()}
    architecture, spelling = written_form(info.spec)
    save_state(tmp_path / "model.safetensors", spelling.back(state))
    (tmp_path / "config.json").write_text(json.dumps(make_config(info, "classifier")))
    module = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        ours, theirs = reference(images), module(images)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * float(ours.abs().max()))
    own = importlib.import_module("timm.data").resolve_model_data_config(module)
    assert (own["crop_pct"], own["interpolation"], own["input_size"]) == (0.9, "bicubic", (3, size, size))
    assert read_config(tmp_path / "model.safetensors").architecture == architecture
