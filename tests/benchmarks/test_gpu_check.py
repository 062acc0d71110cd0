"""The check of a GPU, on the CPU: what runs when, and in the long form its own parts in small."""

import json

import pytest

from benchmarks import gpu_check
from gift_jax.errors import GiftError


def say(text):
    """A part that prints a text, or ends with an error if there is none."""
    return gpu_check.Part(lambda out, small: ["-c", f"import sys; print({text!r}); sys.exit({not text})"])


def statuses(directory):
    """Of all parts, by name."""
    found = json.loads((directory / "gpu_check.json").read_text())["parts"]
    return {name: part["status"] for name, part in found.items()}


def test_a_part_that_fails_or_has_no_time_leaves_the_others(tmp_path, monkeypatch):
    slow = gpu_check.Part(lambda out, small: ["-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(gpu_check, "PARTS", {"bad": say(""), "good": say("yes"), "slow": slow, "late": say("no")})
    with pytest.raises(GiftError, match="bad, slow, late"):
        gpu_check.main(tmp_path, minutes=0.05, parts=("bad", "good", "slow", "late"))
    assert statuses(tmp_path) == {"bad": "1", "good": "0", "slow": "out of time", "late": "not run"}
    assert (tmp_path / "good.txt").read_text() == "yes\n"


def test_operations_have_kinds():
    names = {"sm90_xmma_fprop_implicit_gemm": "convolution", "loop_add_fusion": "elementwise", "infeed": "other"}
    assert {name: gpu_check.kind(name) for name in names} == names


@pytest.mark.exhaustive
def test_its_own_parts_run_in_small(tmp_path):
    gpu_check.main(tmp_path, minutes=60, parts=("imagenet", "students", "profile"), small=True)
    assert set(statuses(tmp_path).values()) == {"0"}
    for name in gpu_check.OWN:
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found["rows"]
        assert found["peak_bytes"] > 0
    assert found["rows"][0]["kinds"]["product"] > 0
