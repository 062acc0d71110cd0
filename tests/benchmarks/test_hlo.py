"""Figures read off a program: those of its arithmetic by hand, and XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import hlo

NAMES = ("NHWC", "HWIO", "NHWC")


def costs_of(function, *arguments):
    module = hlo.parse(jax.jit(function).lower(*arguments).compile().as_text())
    return hlo.costs(module, hlo.step_of(module))


@pytest.mark.parametrize(
    ("strides", "padding", "dilation"),
    [((1, 1), [(1, 1), (1, 1)], None), ((2, 2), [(0, 1), (1, 0)], None), ((1, 1), [(1, 2), (1, 2)], (2, 2))],
)
def test_flops_of_a_convolution_leave_out_padding_and_gaps(strides, padding, dilation):
    """Counted by convolving ones: each output then is the number of its products."""
    images, kernel = jnp.ones((2, 6, 7, 5)), jnp.ones((3, 3, 5, 4))

    def convolve(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, strides, padding, lhs_dilation=dilation, dimension_numbers=NAMES
        )

    assert sum(cost.flops for cost in costs_of(convolve, images, kernel)) == 2 * float(convolve(images, kernel).sum())


def test_the_step_is_the_loop_with_the_arithmetic():
    def epoch(state, batches):
        return jax.lax.scan(lambda state, batch: (jnp.sin(state @ batch), state.sum()), state, batches)

    costs = costs_of(epoch, jnp.ones((8, 8)), jnp.ones((5, 8, 8)))
    assert sum(cost.flops for cost in costs) == 2 * 8**3  # of one step, not of five


TEXT = """
HloModule m
%inner (p.0: f32[1000,64], p.1: s32[]) -> f32[1,64] {
  %p.0 = f32[1000,64]{1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  ROOT %d = f32[1,64]{1,0} dynamic-slice(%p.0, %p.1, %p.1), dynamic_slice_sizes={1,64}
}
ENTRY %main (a: f32[1000,64], i: s32[]) -> f32[1,64] {
  %a = f32[1000,64]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %near = bf16[64,64]{1,0:T(8,128)(2,1)S(1)} broadcast(%i), dimensions={}
  %t = f32[64,1000]{0,1} transpose(%a), dimensions={1,0}, metadata={op_name="jit(epoch)/moved"}
  %s = ((f32[1000,64]{1,0}), f32[10,64]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:10], [0:64]}
  %r = f32[64]{0} all-reduce(%i), replica_groups=[2,2]<=[4], to_apply=%inner
  ROOT %f = f32[1,64]{1,0} fusion(%a, %i), kind=kLoop, calls=%inner
}
"""


def test_of_what_is_sliced_only_the_slice_is_read_and_what_is_on_the_chip_is_free():
    costs = {cost.instruction.name: cost for cost in hlo.costs(hlo.parse(TEXT), "main")}
    assert costs["f"].bytes == 4 * 64 + 4 * 64 + 4  # written, read, and the place
    assert costs["near"].bytes == 4
    assert costs["s"].bytes == 4 * 640  # read, and written on the chip


def test_layout_changes_and_exchanges_are_found():
    module = hlo.parse(TEXT)
    costs = hlo.costs(module, module.entry)
    [change] = hlo.layout_changes(module, costs, least=1000)
    assert (change["of"], change["makes"]) == ("moved", "f32[64,1000]")
    assert hlo.layout_changes(module, costs, least=10**6) == []
    [exchange] = hlo.collectives(costs)
    assert (exchange["kind"], exchange["bytes"], exchange["groups"]) == ("all-reduce", 256, [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("{{0,1},{2,3}}", [[0, 1], [2, 3]]),
        ("[2,2]<=[4]", [[0, 1], [2, 3]]),
        ("[2,2]<=[2,2]T(1,0)", [[0, 2], [1, 3]]),
        ("", []),
    ],
)
def test_groups_are_read_in_every_notation(text, groups):
    assert hlo.read_groups(text) == groups


def test_a_large_step_agrees_with_xla_on_flops():
    images, kernel = jnp.ones((4, 16, 16, 8)), jnp.ones((3, 3, 8, 8))

    def loss(kernel, images):
        y = jax.lax.conv_general_dilated(images, kernel, (2, 2), [(1, 1), (1, 1)], dimension_numbers=NAMES)
        return jnp.sum(y * y)

    compiled = jax.jit(jax.grad(loss)).lower(kernel, images).compile()
    module = hlo.parse(compiled.as_text())
    ours = sum(cost.flops for cost in hlo.costs(module, module.entry))
    np.testing.assert_allclose(ours, compiled.cost_analysis()["flops"], rtol=0.1)
