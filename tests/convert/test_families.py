"""Families against PyTorch, most of them torchvision's: structure, features, logits, a training step, export."""

import dataclasses
import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from forms import short_form
from modules import NORMS, images_of, nhwc, scaled

from convert.families import find_family
from convert.rules import to_torch
from gift_jax.errors import GiftError
from gift_jax.models import MODELS, ModelSpec, get_model, layers, resnet_cifar
from gift_jax.teachers.teacher import flatten


def resnet_features(module, images):
    """After the stem's pooling and after each stage."""
    x = module.maxpool(module.relu(module.bn1(module.conv1(images))))
    return [x, *chained((module.layer1, module.layer2, module.layer3, module.layer4), x)]


def cifar_features(module, images):
    """After the stem and after each stage."""
    x = torch.relu(module.bn1(module.conv1(images)))
    return [x, *chained((module.layer1, module.layer2, module.layer3), x)]


def chained(parts, x):
    outputs = []
    for part in parts:
        x = part(x)
        outputs.append(x)
    return outputs


def pooled_features(module, images):
    """After each max-pool."""
    outputs = chained(module.features, images)
    return [x for x, part in zip(outputs, module.features, strict=True) if isinstance(part, torch.nn.MaxPool2d)]


def stages_apart(module, images):
    """After the stem, each block of each stage, and the head."""
    blocks = [block for stage in module.features[1:-1] for block in stage]
    return chained([module.features[0], *blocks, module.features[-1]], images)


def every_feature(module, images):
    return chained(module.features, images)


def channels_last_feature(module, images):
    return [x.permute(0, 3, 1, 2) for x in every_feature(module, images)]


def shuffled_features(module, images):
    """After the stem's pooling, each stage and the head."""
    x = module.maxpool(module.conv1(images))
    return [x, *chained((module.stage2, module.stage3, module.stage4, module.conv5), x)]


def tokens(module, images):
    """What enters the encoder's blocks, and what leaves each."""
    patches = module._process_input(images)
    first = module.class_token.expand(len(images), -1, -1)
    x = torch.cat([first, patches], dim=1) + module.encoder.pos_embedding
    return [x, *chained(module.encoder.layers, x)]


@dataclasses.dataclass(frozen=True)
class Case:
    """Golden parameter count at 1000 classes, side of the test's images, torchvision's intermediate outputs."""

    count: int
    size: int
    features: Callable


# The modified stem has 9408 - 1728 weights fewer.
CASES = {
    "resnet18": Case(11_689_512, 64, resnet_features),
    "resnet34": Case(21_797_672, 64, resnet_features),
    "resnet50": Case(25_557_032, 64, resnet_features),
    "resnet101": Case(44_549_160, 64, resnet_features),
    "resnet152": Case(60_192_808, 64, resnet_features),
    "resnet18_modified": Case(11_681_832, 32, resnet_features),
    "resnet34_modified": Case(21_789_992, 32, resnet_features),
    "resnet50_modified": Case(25_549_352, 32, resnet_features),
    "resnet101_modified": Case(44_541_480, 32, resnet_features),
    "resnet152_modified": Case(60_185_128, 32, resnet_features),
    # At 10 classes 269,722, 464,154, 658,586, 853,018 and 1,727,962: the paper's 0.27M to 1.7M.
    **{
        f"resnet{depth}": Case(count + 990 * 65, 16, cifar_features)
        for depth, count in ((20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962))
    },
    # Counted by the authors' own code, as are the logits that its test has.
    "resnet_ap10": Case(5_418_792, 32, lambda module, images: chained([*module.children()][:-1], images)),
    "alexnet": Case(61_100_840, 96, pooled_features),
    "vgg11": Case(132_863_336, 64, pooled_features),
    "mobilenet_v2": Case(3_504_872, 48, every_feature),
    "efficientnet_b0": Case(5_288_548, 48, stages_apart),
    "shufflenet_v2_x0_5": Case(1_366_792, 64, shuffled_features),
    "convnext_tiny": Case(28_589_128, 32, every_feature),
    "vit_b_16": Case(86_567_656, 32, tokens),
    # Stages of 24, 12, 6 and 3 pixels: windows that fit, that are padded, and that cover all.
    "swin_v2_t": Case(28_351_570, 96, channels_last_feature),
}

# A training step compiles for seconds, in float64: here plain, grouped and depthwise convolutions.
STEPPED = {"resnet18", "resnet20", "shufflenet_v2_x0_5"}
# Of whole networks; each kind of initial distribution has a test of its own.
DRAWN = {"shufflenet_v2_x0_5"}
# Each structure in its smallest form. The deeper ResNets repeat it, and VGG-11, half a gigabyte, has its training step
# compared with a smaller head.
COMPARED = {name for name in CASES if not re.match(r"resnet(18$|32|34|44|50$|56|101|110|152)|vgg11", name)}
LARGE_HEADS = ("alexnet", "vgg11")
FOLDED = ("resnet18_modified", "shufflenet_v2_x0_5")  # of the ways to place BatchNorm
FULL = pytest.mark.exhaustive
# Options that decide a training step.
VARIANTS = {f"conv2 {norm}": {"norm": norm, "width": 8} for norm in NORMS}
VARIANTS |= {"resnet20 projected": {"shortcut": "projected"}}
# Sides at which a training step, in float64 several times as slow, has all of its parts.
SMALLEST = {"alexnet": 64, "vgg11": 32, **dict.fromkeys(VARIANTS, 16)}


def spec(name, classes=10, size=32):
    return ModelSpec(name.partition(" ")[0], classes, size, options=tuple(VARIANTS.get(name, {}).items()))


def reference(model_spec):
    return find_family(model_spec.name).reference(model_spec)


def rules(name):
    return find_family(spec(name).name).rules(spec(name))


def test_every_model_is_tested():
    assert {name for name in MODELS if not name.startswith("conv") or "_" in name} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_parameter_counts_are_torchvisions(name):
    """Golden; a conversion, which is strict, compares the arrays one by one."""
    params, _ = get_model(spec(name, 1000, 224)).abstract()
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == CASES[name].count


def converted(module, model_spec, read):
    found, params, stats, *_ = read({"model": module.state_dict()}, model_spec)
    return get_model(found), params, stats


@pytest.mark.parametrize("name", short_form(CASES, COMPARED))
def test_features_and_logits_equal_torchvision(name, read):
    model_spec = spec(name, size=CASES[name].size)
    module = scaled(reference(model_spec))
    model, params, stats = converted(module, model_spec, read)
    images = images_of(model_spec, 2)

    def run(params, stats, images):  # compiled together, they are one network
        return model.merge(params, stats).features(images, train=False), model.apply(params, stats, images)[0]

    found, logits = jax.jit(run)(params, stats, nhwc(images))
    for one, other in zip(found, map(nhwc, CASES[name].features(module, images)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())
    expected = module(images).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    back = to_torch({"params": flatten(params), "batch_stats": flatten(stats)}, rules(name))
    state = module.state_dict()
    assert back.keys() == state.keys()
    for key, tensor in state.items():
        if "num_batches_tracked" not in key:
            np.testing.assert_array_equal(back[key], tensor.numpy(), err_msg=key)


def without_dropout(module):
    """With dropout off, in training too, as the library has it without a key."""
    for part in module.modules():
        if type(part).__name__ in ("Dropout", "StochasticDepth"):
            part.p = 0.0
    return module


def with_a_small_head(module, side, name, monkeypatch):
    """torchvision's module, and this library's, pooled to fewer pixels: most weights are those of the next layer."""
    monkeypatch.setattr(f"gift_jax.models.{name.rstrip('0123456789')}.POOLED", side)
    place, first = next(pair for pair in enumerate(module.classifier) if isinstance(pair[1], torch.nn.Linear))
    inputs = first.in_features // module.avgpool.output_size[0] ** 2 * side**2
    module.classifier[place] = torch.nn.Linear(inputs, first.out_features)
    module.avgpool = torch.nn.AdaptiveAvgPool2d(side)
    return module


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        *(pytest.param(name, None, marks=() if name in STEPPED else FULL, id=name) for name in CASES),
        *(pytest.param(name, None, id=name) for name in VARIANTS),
        *(pytest.param(name, 2, id=f"{name}-pooled_to_2") for name in LARGE_HEADS),
    ],
)
def test_one_training_step_equals_torchvision(name, pooled, read, monkeypatch):
    """Loss, gradients and new running statistics in float64, where no rounding hides a difference."""
    # Models are kept by their specs: no other test has this one's number of classes.
    model_spec = spec(name, classes=11 if pooled else 10, size=SMALLEST.get(name) or CASES[name].size)
    module = reference(model_spec)
    if pooled:
        module = with_a_small_head(module, pooled, name, monkeypatch)
    module = without_dropout(scaled(module).double())
    model, params, stats = converted(module, model_spec, read)
    images = images_of(model_spec, 2, torch.float64)
    # Converted weights are float32, as are these: the same numbers in both.
    module = module.float().double()
    loss = torch.nn.functional.cross_entropy(module.train()(images), torch.arange(2))
    loss.backward()
    expected = {name: parameter.grad for name, parameter in module.named_parameters()}
    expected |= {name: buffer for name, buffer in module.named_buffers() if "running" in name}
    loss = loss.item()
    del module  # the largest networks are gigabytes in float64: only what is compared is kept
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, stats))
        del params
        ours = jnp.asarray(nhwc(images))

        def ours_loss(params):
            logits, new = model.apply(params, wide[1], ours, train=True)
            return -jax.nn.log_softmax(logits)[jnp.arange(2), jnp.arange(2)].mean(), new

        (value, new), gradients = jax.jit(jax.value_and_grad(ours_loss, has_aux=True), donate_argnums=0)(wide[0])
        found = to_torch({"params": flatten(gradients), "batch_stats": flatten(new)}, rules(name))
    np.testing.assert_allclose(value, loss, rtol=1e-9)
    for key, tensor in expected.items():
        scale = max(float(tensor.abs().max()), 1e-6)
        np.testing.assert_allclose(found[key], tensor.numpy(), atol=1e-7 * scale, err_msg=key)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (layers.torch_kernel_init, lambda weight: torch.nn.init.kaiming_uniform_(weight, a=5**0.5)),
        (layers.kaiming_normal, lambda weight: torch.nn.init.kaiming_normal_(weight, mode="fan_out")),
        (resnet_cifar.he_normal, torch.nn.init.kaiming_normal_),
        (layers.normal_init(0.02), lambda weight: torch.nn.init.trunc_normal_(weight, std=0.02)),
        (nnx.initializers.xavier_uniform(), torch.nn.init.xavier_uniform_),
    ],
    ids=["Conv2d and Linear", "kaiming", "kaiming by inputs", "normal", "xavier"],
)
@pytest.mark.parametrize("shape", [(96, 40, 3, 3), (300, 200)], ids=["convolution", "linear"])
def test_initial_distributions_are_pytorchs(ours, theirs, shape, key):
    weight = ours(key, shape[2:] + shape[1::-1])
    one, other = np.asarray(weight).ravel(), theirs(torch.empty(shape)).numpy().ravel()
    bound = 5 / np.sqrt(one.size)
    assert abs(one.mean()) < bound * other.std()
    assert abs(one.std() / other.std() - 1) < bound
    assert abs(np.abs(one).max() / np.abs(other).max() - 1) < 0.3


@pytest.mark.parametrize("name", short_form(CASES, DRAWN))
def test_initial_distribution_is_torchvisions(name):
    """Mean, standard deviation and largest value of every layer; three seeds of each, one of the largest models."""
    model_spec = spec(name)
    model = get_model(model_spec)
    ours, theirs = [], []
    for seed in range(1 if CASES[name].count > 5e7 else 3):
        params, stats = model.init(jax.random.key(seed))
        flat = {"params": flatten(params), "batch_stats": flatten(stats)}
        ours.append(to_torch(jax.tree.map(np.asarray, flat), rules(name)))
        torch.manual_seed(seed)
        theirs.append({key: value.numpy() for key, value in reference(model_spec).state_dict().items()})
    for key in theirs[0]:
        one, other = (np.concatenate([state[key].ravel() for state in states]) for states in (ours, theirs))
        if (other == other[0]).all():
            np.testing.assert_array_equal(one, other, err_msg=key)
        else:
            # In double precision, without copies of arrays of a hundred million numbers.
            means, deviations = ([f(draws, dtype=float) for draws in (one, other)] for f in (np.mean, np.std))
            spread = 6 * deviations[1] / np.sqrt(other.size)
            assert abs(means[0] - means[1]) < 2 * spread, key
            assert abs(deviations[0] / deviations[1] - 1) < 6 / np.sqrt(other.size), key
            assert abs(np.abs(one).max() / np.abs(other).max() - 1) < 0.5, key


@pytest.mark.parametrize("name", short_form([*FOLDED, "mobilenet_v2", "efficientnet_b0"], FOLDED))
def test_the_command_converts_folds_verifies_and_exports(name, done, tmp_path):
    """With every way of placing BatchNorm; PyTorch takes the exported file strictly."""
    module = scaled(reference(spec(name)))
    for key, tensor in module.state_dict().items():
        if "num_batches_tracked" in key:
            tensor.fill_(90_000)
    torch.save({"model": module.state_dict()}, tmp_path / "source.pth")
    arguments = ("--dataset", "cifar10", "--model", name, "--out", tmp_path / "t")
    out = done("teacher", tmp_path / "source.pth", *arguments)
    assert "top-1 agreement 100 %" in out
    done("export", tmp_path / "t", "--out", tmp_path / "back.pth")
    back, state = torch.load(tmp_path / "back.pth", weights_only=True)["model"], module.state_dict()
    reference(spec(name)).load_state_dict(back, strict=True)
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_a_vit_under_the_older_names_of_its_released_file(read):
    model_spec = spec("vit_b_16")
    module = reference(model_spec)
    older = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
        for name, tensor in module.state_dict().items()
    }
    _, params, _, state, *_ = read(older, model_spec)
    module.load_state_dict(state, strict=True)
    kernel = module.encoder.layers[3].mlp[3].weight.detach().numpy().T
    np.testing.assert_array_equal(params["blocks"][3]["project"]["kernel"], kernel)


@pytest.mark.parametrize(
    ("file_model", "asked", "classes", "message"),
    [
        ("resnet18", "resnet18_modified", 10, "7 pixels wide, resnet18_modified's is 3; give --model resnet18"),
        ("resnet34_modified", "resnet34", 10, "3 pixels wide, resnet34's is 7; give --model resnet34_modified"),
        ("resnet18", "resnet34", 10, r"layer1\.2\.conv1\.weight is missing"),
        ("resnet34", "resnet18", 10, "is not part of this architecture"),
        ("resnet18", "resnet18", 9, "has 10 outputs, but the dataset has 9 classes"),
        ("resnet18", "resnet50", 10, "check --model"),
        ("resnet18", "mobilenet_v2", 10, "holds no mobilenet_v2"),
        ("efficientnet_b0", "mobilenet_v2", 10, r"features\.\S+ is not part of this architecture"),
        ("resnet18", "resnet_ap10", 10, "holds no resnet_ap10"),
        ("resnet20", "resnet18_modified", 10, "holds a resnet20 for CIFAR, of three stages; give --model resnet20"),
        ("resnet32", "resnet20", 10, "holds a resnet32, but --model is resnet20; give the model that was trained"),
        ("resnet18_modified", "resnet20", 10, "makes 64 channels, resnet20's 16"),
        ("vit_b_16", "vit_b_16", 10, r"has 5 tokens, but 48 pixels give 10; check --image-size"),
    ],
)
def test_other_architectures_are_refused(file_model, asked, classes, message, read):
    with pytest.raises(GiftError, match=message):
        converted(reference(spec(file_model)), spec(asked, classes, 48 if asked == "vit_b_16" else 32), read)


def test_swin_tables_are_checked_and_demanded(read):
    state = reference(spec("swin_v2_t")).state_dict()
    name = "features.1.1.attn.relative_position_index"
    for change, message in (({name: state[name] + 1}, "is not what this architecture has"), ({}, "is missing")):
        with pytest.raises(GiftError, match=f"{name} {message}"):
            read({key: value for key, value in state.items() if key != name} | change, spec("swin_v2_t"))
