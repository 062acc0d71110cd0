"""What a package index would get: the wheel, made from the source distribution, and its commands without a checkout."""

import email
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from forms import short_form

ROOT = Path(__file__).parent.parent
# What the wheel carries, and the folder of the checkout it comes from.
PACKAGES = {"gift_jax": "gift_jax", "gift_jax/convert": "convert", "gift_jax/experiments": "experiments"}
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in")
BUILT_WITH = ("CHANGELOG.md", "CITATION.cff", "constraints.txt")  # in the source distribution, as MANIFEST.in says


def expected_files():
    for place, folder in PACKAGES.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".pyi", ".typed"}:
                yield f"{place}/{path.relative_to(ROOT / folder).as_posix()}"


def command(*arguments, cwd):
    outside = ("PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    options = {"cwd": cwd, "env": environment, "capture_output": True, "text": True, "check": False}
    return subprocess.run([*map(str, arguments)], **options)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The source distribution, and the wheel made from it; from a copy, for setuptools leaves files where it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for folder in PACKAGES.values():
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*BUILT_FROM, *BUILT_WITH):
        shutil.copy(ROOT / name, source)
    done = command(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    return source, next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(distributions):
    with zipfile.ZipFile(distributions[2]) as file:
        yield file


@pytest.fixture(scope="module")
def installed(distributions, tmp_path_factory):
    """The interpreter of an environment with the wheel, and with what these tests' own environment has beside it.

    That is added as a folder of imports alone: its .pth files, and so its editable install, are not read.
    """
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    printed = command(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).stdout
    install = ("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", distributions[2])
    done = command(sys.executable, "-m", "pip", "--python", python, *install, cwd=place)
    assert done.returncode == 0, done.stderr
    beside = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(printed.strip(), "beside.pth").write_text("\n".join(beside))
    return python


def test_the_source_distribution_can_be_built_and_read(distributions):
    with tarfile.open(distributions[1]) as file:
        packed = {name.split("/", 1)[-1] for name in file.getnames()}
    assert packed >= {*BUILT_FROM, *BUILT_WITH, "convert/fkd/__init__.py", "gift_jax/__init__.pyi"}
    assert not any(name.startswith("tests/") for name in packed)


def test_no_module_is_forgotten(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == set(expected_files())
    assert {"gift_jax/py.typed", "gift_jax/__init__.pyi", "gift_jax/convert/fkd/__init__.py"} <= packed


def test_metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    fields = email.message_from_bytes(wheel.read(name))
    assert (fields["Name"], fields["License-File"]) == ("gift-jax", "LICENSE")
    assert fields["Description-Content-Type"] == "text/markdown"
    assert {"torch", "data", "demo", "cuda12", "cuda13", "tpu"} <= set(fields.get_all("Provides-Extra"))
    scripts = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert "gift-jax = gift_jax.__main__:main" in scripts


def test_the_wheel_is_imported_not_the_checkout(installed, tmp_path):
    code = """
import importlib.util
from gift_jax.experiments.common import sources
print(sources.__file__, importlib.util.find_spec("convert"), sources.CONVERT)
"""
    done = command(installed, "-c", code, cwd=tmp_path)
    path, convert, run = done.stdout.split()
    assert Path(path).is_relative_to(installed.parents[1])
    assert (convert, run) == ("None", "gift_jax.convert")


@pytest.mark.parametrize("name", short_form(["convert", "experiments.evaluate", "experiments.report"], ["convert"]))
def test_commands_help_without_a_checkout(installed, tmp_path, name):
    done = command(installed, "-m", f"gift_jax.{name}", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.exhaustive
def test_the_demo_runs_without_a_checkout(installed, tmp_path):
    pytest.importorskip("torch")
    options = ("--epochs", 2, "--num-seeds", 1, "--out", tmp_path / "demo")
    done = command(installed, "-m", "gift_jax.experiments.quickstart", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "$ gift-jax convert teacher" in done.stdout
    assert (tmp_path / "demo" / "report.md").is_file()


@pytest.mark.exhaustive
def test_an_editable_install_has_the_checkout_s_names_too(distributions, tmp_path):
    source = distributions[0]
    code = f"""
import os, setuptools.build_meta
os.chdir({str(source)!r})
print(setuptools.build_meta.build_editable({str(tmp_path)!r}))
"""
    done = command(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as file:
        (path,) = (file.read(name).decode().strip() for name in file.namelist() if name.endswith(".pth"))
    assert Path(path).resolve() == source.resolve()
    assert all((source / name / "__init__.py").is_file() for name in ("convert", "experiments", "gift_jax"))
