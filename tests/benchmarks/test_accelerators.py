"""What programs become on accelerators: checked on what XLA compiles for devices that need not be here."""

import json

import pytest

from benchmarks import accelerators, targets
from gift_jax.errors import GiftError

GPU, TPU = "h100", "v5e"


def needs(target):
    missing = not targets.installed(target)
    return pytest.mark.skipif(missing, reason=f"the compiler for {target} is not here: the extra accelerators")


def on(target, *values):
    return pytest.param(target, *values, marks=needs(target))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("target", "workload"),
    [
        *(on(GPU, workload) for workload in ("conv3-32", "resnet18-224", "resnet101-224", "vit_b_16-224")),
        on(TPU, "conv3-32"),
    ],
)
def test_an_epoch_is_computed_on_the_device_in_bfloat16(target, workload):
    row, transformer = accelerators.compile_apart(target, workload, "epoch-bfloat16"), workload.startswith("vit")
    assert row["aliased_bytes"] >= row["state_bytes"] > 0  # the old state's memory is the new one's
    assert row["transfers"] == []
    convolutions = row["convolutions"]
    assert convolutions
    assert {kind for one in convolutions for kind in one["kinds"]} <= {"bf16"}
    if target == GPU:
        assert all(one["call"].startswith("__cudnn$conv") for one in convolutions)
        # The frozen teacher's convolutions have bias and ReLU in them.
        own = [one for one in convolutions if "jvp" not in one["of"]]
        assert all(one["call"] == "__cudnn$convBiasActivationForward" for one in own)
        # Between them no array is written in another order; the augmentation's products may, and attention does.
        assert transformer or [change for change in row["layout_changes"] if "cond/branch" not in change["of"]] == []
    assert row["peak_bytes"] < 8e9


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", [on(GPU), on(TPU)])
def test_seeds_exchange_nothing_and_statistics_are_of_the_whole_batch(target):
    row = accelerators.compile_apart(target, "conv3-32", "seed-2-data-4")
    exchanged = [one for one in row["collectives"] if one["kind"].startswith("all-reduce")]
    groups = [set(group) for one in row["collectives"] for group in one["groups"]]
    rows = [set(range(4)), set(range(4, 8))]  # devices of one seed
    assert groups
    assert all(any(group <= row for row in rows) for group in groups)
    # Every BatchNorm's mean, variance and their gradients, and the gradients of all weights, over the whole row.
    sums = [one for one in exchanged if sorted(map(sorted, one["groups"])) == [sorted(row) for row in rows]]
    assert sum(shape == [128] for one in sums for shape in one["shapes"]) >= 3 * 4
    assert sum(one["bytes"] for one in sums) >= 2 * 504_420  # bfloat16, or more


@pytest.mark.exhaustive
@needs(TPU)
def test_a_tpu_gathers_no_pixels_but_the_batch_itself():
    row = accelerators.compile_apart(TPU, "conv3-32", "epoch-bfloat16")
    assert row["gathered_bytes"] <= 1.1 * 100 * 32 * 32 * 3 * 4


ROW = {
    **{"target": "v5e", "workload": "conv3-32", "batch": 100, "program": "data-8", "compile_seconds": 31.4},
    **{"flops": 36.3e9, "bytes": 0.66e9, "bound_seconds": 0.0008, "estimated_seconds": 0.00123},
    **{"peak_bytes": 2**28, "memory_share": 0.0168, "collectives": [{"bytes": 2e6}, {"bytes": 5e5}], "costliest": []},
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--for", "v7"), "--for: 'v7' is unknown"), (("--work", "evaluation"), "--work: 'evaluation' is unknown")],
)
def test_what_is_unknown_is_refused(arguments, message, command_line):
    status, _, error = command_line(accelerators.main, "accelerators", *arguments)
    assert status == 2
    assert message in error


def test_a_program_that_crashes_the_compiler_costs_no_other_row(monkeypatch, tmp_path, capsys):
    def compile_apart(target, workload, program):
        if program == "data-8":
            raise GiftError("data-8 cannot be compiled")
        return {**ROW, "program": program}

    monkeypatch.setattr(accelerators, "installed", lambda target: True)
    monkeypatch.setattr(accelerators, "compile_apart", compile_apart)
    monkeypatch.setattr(accelerators, "RESULTS", tmp_path)
    with pytest.raises(GiftError, match="data-8 cannot be compiled"):
        accelerators.main(("v5e",), ("conv3-32",), ("epoch-float32", "data-8", "evaluation"), "some")
    for table in (capsys.readouterr().out, (tmp_path / "some.md").read_text()):
        assert "epoch-float32" in table
        assert "evaluation" in table
        assert "data-8" not in table
    rows = json.loads((tmp_path / "some.json").read_text())["rows"]
    assert [row["program"] for row in rows] == ["epoch-float32", "evaluation"]


def test_a_compiler_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(accelerators, "installed", lambda target: False)
    with pytest.raises(GiftError, match=r"pip install '\.\[accelerators\]'"):
        accelerators.main(for_=("v5e",))


def test_a_process_that_compiles_does_not_touch_devices():
    assert targets.environment(GPU)["JAX_PLATFORMS"] == targets.environment(TPU)["JAX_PLATFORMS"] == "cpu"
    assert "--xla_gpu_autotune_level=0" in targets.environment(GPU)["XLA_FLAGS"]
