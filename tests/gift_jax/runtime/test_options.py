"""Options as a user meets them: names to choose from, lists with commas or spaces, groups, and an example."""

import dataclasses
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Literal

import pytest
import tyro

from gift_jax.errors import GiftError
from gift_jax.runtime.options import (
    Alias,
    Count,
    Dataset,
    Existing,
    Loss,
    ModelName,
    NonNegative,
    ReadAs,
    Source,
    check_once,
    make_command,
)


@dataclasses.dataclass(frozen=True)
class Base:
    """Common options.

    Args:
        out: where results go.
        epochs: in place of the recipe's.
    """

    out: Path = Path("runs")
    epochs: Count | None = None


@dataclasses.dataclass(frozen=True)
class Options(Base):
    """Options of a command.

    Args:
        model: architecture.
        losses: to compare.
    """

    GROUPS = MappingProxyType(
        {"what": "", "training": "epochs losses seeds rate precision", "where": "out", "machine": "devices dry_run"}
    )

    model: ModelName = "conv3"
    dataset: Dataset = "digits"
    losses: tuple[Loss, ...] = ("gift",)
    seeds: tuple[int, ...] = (0, 1)
    rate: NonNegative | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    devices: int | None = None
    dry_run: bool = False


def take(config: Options) -> Options:
    """Hand back what was parsed."""
    return config


def parse(*arguments, function=take):
    command = make_command(function)
    parsed = tyro.cli(command.form, args=[*map(str, arguments)])
    command.check_files(parsed)
    return command.call(parsed)


@pytest.fixture
def shown(capsys, monkeypatch):
    """The help of a command, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def show(function, **options):
        command = make_command(function, **options)
        with pytest.raises(SystemExit):
            tyro.cli(command.form, args=["--help"], description=command.description)
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize("seeds", [["0,1,2"], ["0", "1", "2"], ["0,", "1,2"]])
def test_lists_are_written_with_commas_or_spaces(seeds):
    assert parse("--seeds", *seeds).seeds == (0, 1, 2)
    assert parse("--losses", "gift,kl").losses == ("gift", "kl")


def test_free_text_keeps_its_commas():
    def take_texts(*, students: tuple[str, ...] = ()) -> object:
        """Take."""
        return students

    texts = ("conv2:norm=instance,width=64", "conv3")
    assert parse("--students", *texts, function=take_texts) == texts


def test_options_of_every_kind_are_parsed():
    assert parse() == Options()
    given = {"out": "x", "epochs": "3", "model": "conv2", "rate": "0.5", "precision": "bfloat16", "devices": "2"}
    wanted = Options(Path("x"), 3, "conv2", rate=0.5, precision="bfloat16", devices=2, dry_run=True)
    assert parse(*[text for name, value in given.items() for text in (f"--{name}", value)], "--dry-run") == wanted


@pytest.mark.parametrize(
    "given",
    [("--epochs", "many"), ("--seeds", "0,x"), ("--precision", "float16"), ("--rate", "nan"), ("--rate", "inf")],
)
def test_what_is_no_value_of_an_option_names_the_option(given):
    with pytest.raises(GiftError, match=rf"^{given[0]} takes .*, not '{given[1].removeprefix('0,')}'$"):
        parse(*given)


@pytest.mark.parametrize(("option", "value", "least"), [("--epochs", 0, 1), ("--rate", -0.5, 0)])
def test_a_number_below_the_least_is_refused(option, value, least):
    with pytest.raises(GiftError, match=f"^{option} must be {least} or more, not {value}$"):
        parse(option, value)
    assert parse(option, least)


def test_a_number_above_the_most_is_refused():
    with pytest.raises(GiftError, match=r"^--epochs must be 2147483647 or less, not 2147483648$"):
        parse("--epochs", 2**31)
    assert parse("--epochs", 2**31 - 1)


def test_a_file_that_must_exist_is_looked_for_before_the_command_is_called(tmp_path):
    def read(*, data: Annotated[str, Existing("tfds")] | None = None, sets: tuple[Source, ...] = ()) -> object:
        """Read."""
        return data, sets

    assert parse("--data", "tfds", "--sets", tmp_path, "hf://a/b", function=read) == (
        "tfds",
        (tmp_path, Path("hf://a/b")),
    )
    for option in ("--data", "--sets"):
        with pytest.raises(GiftError, match=r"^nope: there is no such file or directory"):
            parse(option, "nope", function=read)
    (tmp_path / "link").symlink_to("gone")
    for path in ("link", "link/set.safetensors"):
        with pytest.raises(GiftError, match=f"^{tmp_path}/link: is a link to gone, which is not there"):
            parse("--data", tmp_path / path, function=read)


def test_an_option_has_a_second_name_and_reads_its_texts_in_its_own_way():
    def read(
        *, loss: Annotated[str, Alias("criterion-name")] = "gift", seeds: Annotated[tuple[int, ...], ReadAs(len)] = ()
    ):
        """Read."""
        return loss, seeds

    assert parse("--criterion_name", "kl", "--seeds", "4", "5", function=read) == ("kl", 2)


def test_help_groups_many_options_with_the_words_of_the_classes_they_are_of(shown):
    text = shown(take)
    assert "where results go" in text
    assert "to compare" in text
    places = [text.index(f"{group} options") for group in ("what", "training", "where", "machine")]
    assert places == sorted(places)
    assert places[1] < text.index("--epochs") < places[2] < text.index("--out") < places[3] < text.index("--devices")


def test_a_function_s_positional_parameter_stays_one():
    def convert(source: tyro.conf.Positional[Path], /, *, mean: tuple[float, ...] | None = None) -> object:
        """Convert."""
        return source, mean

    assert parse("a.pth", "--mean", "0.5", "0.25", function=convert) == (Path("a.pth"), (0.5, 0.25))
    assert parse("a.pth", function=convert) == (Path("a.pth"), None)


def test_a_name_given_twice_is_refused():
    config = SimpleNamespace(losses=("kl", "gift", "gift"), mean=(0.5, 0.5))
    with pytest.raises(GiftError, match="--losses: gift is given twice"):
        check_once(config)
    check_once(SimpleNamespace(losses=("kl", "gift"), mean=(0.5, 0.5)))
