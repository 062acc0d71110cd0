"""What norms cannot do: normalise a value by itself. PyTorch refuses that for BatchNorm in training."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.models.norms import BatchNorm, GroupNorm


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (BatchNorm(4, rngs=nnx.Rngs(0)), (1, 1, 1, 4)),
        (GroupNorm(4, 4, rngs=nnx.Rngs(0)), (3, 1, 1, 4)),
    ],
)
def test_single_values_are_not_normalised_by_themselves(norm, shape):
    with pytest.raises(GiftError, match="would normalise single values by themselves"):
        norm(jnp.ones(shape), train=True)


def test_batchnorm_of_one_value_a_channel_is_plain_arithmetic_in_inference():
    assert BatchNorm(4, rngs=nnx.Rngs(0))(jnp.ones((1, 1, 1, 4)), train=False).shape == (1, 1, 1, 4)


def test_norms_keep_their_precision_by_what_they_are():
    """Not by the names of their parameters: ConvNeXt's layer scales are cast, norms' scales and biases are not."""
    model = get_model(ModelSpec("convnext_tiny", 10, 32))
    shapes, _ = model.abstract()
    cast = jax.eval_shape(lambda params: model.cast(params, jnp.dtype("bfloat16")), shapes)
    block = cast["stages"][0][0]
    for leaf in jax.tree.leaves((block["norm"], cast["norm"], cast["stem"]["norm"])):
        assert leaf.dtype == jnp.float32
    assert block["layer_scale"].dtype == block["filter"]["kernel"].dtype == jnp.bfloat16
