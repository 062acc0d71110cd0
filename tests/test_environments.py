"""One small command in many environments: the same digits, or one sentence that says what is wrong."""

from pathlib import Path

import pytest
from environments import figures, start, write_set
from forms import short_form


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("environments")
    write_set(place)
    return place


@pytest.fixture(scope="module")
def expected(place):
    process = start(place, place / "plain", seeds="0 1")
    _, error = process.communicate()
    assert process.returncode == 0, error.decode()
    return figures(place / "plain")


ENVIRONMENTS = {
    "no home": {"unset": ("HOME", "XDG_CACHE_HOME")},
    "read-only cache": {"XDG_CACHE_HOME": "/proc/nowhere"},
    "another TMPDIR": {"TMPDIR": "tmp dir"},
    "optimised": {"before": ("-OO",)},
    "64 bits": {"JAX_ENABLE_X64": "1"},
    "no compilation cache": {"JAX_ENABLE_COMPILATION_CACHE": "false"},
    "spaces and other letters": {"out": "a dir, é and 漢字"},
    "ASCII terminal": {"out": "é", "PYTHONIOENCODING": "ascii"},
    "no UTF-8": {"out": "é", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "sentence": "PYTHONUTF8=1"},
    "closed stdin": {"closed": (0,)},
    "closed stdout": {"closed": (1,)},
    "closed stderr": {"closed": (2,)},
    "all closed": {"closed": (0, 1, 2)},
    "four devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    "no huge pages": {"GIFT_JAX_HUGE_PAGES": "0"},
    "narrow terminal": {"COLUMNS": "20"},
    "no GPU": {"JAX_PLATFORMS": "cuda", "sentence": "JAX_PLATFORMS=cuda"},
    "unknown generator": {"JAX_DEFAULT_PRNG_IMPL": "foo", "sentence": "unset JAX_DEFAULT_PRNG_IMPL"},
    "neither true nor false": {"JAX_THREEFRY_PARTITIONABLE": "maybe", "sentence": "unset JAX_THREEFRY_PARTITIONABLE"},
    "unknown precision": {"JAX_DEFAULT_MATMUL_PRECISION": "foo", "sentence": "unset JAX_DEFAULT_MATMUL_PRECISION"},
    "no such device": {"JAX_DEFAULT_DEVICE": "gpu", "sentence": "unset that variable"},
    "no transfers": {"JAX_TRANSFER_GUARD": "disallow", "sentence": "unset that variable"},
    "keys are watched": {"JAX_DEBUG_KEY_REUSE": "1", "sentence": "unset that variable"},
}


KEPT = ["64 bits", "closed stdout", "no GPU", "unknown precision"]


@pytest.mark.parametrize("name", short_form(ENVIRONMENTS, kept=KEPT))
def test_the_same_digits_or_one_sentence(name, place, expected, tmp_path):
    options = dict(ENVIRONMENTS[name])
    out, sentence = tmp_path / options.pop("out", "out"), options.pop("sentence", None)
    if "TMPDIR" in options:
        options["TMPDIR"] = str(tmp_path / options["TMPDIR"])
        Path(options["TMPDIR"]).mkdir()
    process = start(place, out, **options)
    _, error = process.communicate()
    if sentence:
        [line] = [line for line in error.decode().splitlines() if not line.startswith("warning")]
        assert line.startswith("error: ")
        assert sentence in line
        assert process.returncode == 2
        return
    assert process.returncode == 0, error.decode()
    assert b"Traceback" not in error
    assert figures(out) == expected[:1]
