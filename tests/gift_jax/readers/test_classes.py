"""Which class id a name has: one rule for folders, columns, lists and CIFAR's files."""

import numpy as np
import pytest

from gift_jax.data.datasets import DatasetSpec, Normalisation, get_dataset
from gift_jax.errors import GiftError
from gift_jax.readers.class_names import FASHION, KNOWN, NETTE, WOOF
from gift_jax.readers.classes import class_ids, different_ids, hard_labels, names_with_ids, order_classes
from gift_jax.readers.request import ReadRequest, SourceOptions

LETTERS = DatasetSpec("letters", 3, 8, Normalisation((0.5,), (0.5,)), "here", channels=1, class_names=("A", "a", "b c"))
SPELLINGS = {
    "cifar10": ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "cifar100": [name.replace("_", " ").title() for (name,) in KNOWN["cifar100"]],
    "fashion-mnist": ["T-shirt_top", "trouser", *FASHION[2:9], "Ankle_boot"],
    "mnist": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "svhn": [f"{digit} - {name[1]}" for digit, name in enumerate(KNOWN["svhn"])],
    "imagenet-nette": [name[1] for name in KNOWN["imagenet-nette"]],
    "imagenet-woof": sorted(WOOF),
    "tinyimagenet": [f"n{number:08d}" for number in range(200)],
}


def order(found, dataset, kind="folder", path=None, **options):
    spec = dataset if isinstance(dataset, DatasetSpec) else dataset and get_dataset(dataset)
    given = SourceOptions(class_order=path and str(path))
    return order_classes("here", found, ReadRequest(True, given, spec, **options), kind)


@pytest.mark.parametrize("dataset", SPELLINGS)
def test_names_that_a_dataset_knows_order_its_classes(dataset):
    names = SPELLINGS[dataset]
    for kind in ("folder", "name", "label"):
        found = order(sorted(names), dataset, kind)
        assert [found.ids[name] for name in names] == list(range(len(names)))
    assert len(found.names) == len(names)


def test_numbers_are_class_ids_and_new_datasets_keep_their_order():
    numbered = [f"new{label:03d}" for label in range(10)]
    assert order(numbered[::-1], "cifar10").ids == {name: label for label, name in enumerate(numbered)}
    assert order([str(label) for label in range(1, 11)], "svhn", first_label=1).ids["10"] == 9
    assert order(["b", "a", "10"], None).ids == {"b": 0, "a": 1, "10": 2}
    assert order(["Cardigan", "cardigan"], None, "name").ids == {"Cardigan": 0, "cardigan": 1}
    assert order(["a", "b_c", "A"], LETTERS).ids == {"A": 0, "a": 1, "b_c": 2}  # names as they are go first
    assert order([f"{number}" for number in (2, 0, 1)], LETTERS).names == LETTERS.class_names


REFUSED = {
    "strangers": (([*"abcdefghij"], "cifar10"), "has the class folder 'a', which is no class of cifar10; check"),
    "one stranger": (([*SPELLINGS["cifar10"][:9], "lorry"], "cifar10"), "'lorry', which is no class of cifar10"),
    "one class twice": ((["car", "automobile", "bird"], "cifar10"), "'car' and 'automobile' are one class of cifar10"),
    "another subset": ((sorted(WOOF), "imagenet-nette"), "it is one of imagenet-woof; give that as `dataset`"),
    "unknown words": (([f"c{label}" for label in range(200)], "tinyimagenet"), "give a file of the class folders"),
    "sorted as text": (([f"c{label}" for label in range(10, 20)], "imagenet-10", "name"), "not known which classes"),
    "of other numbers": (([*map(str, range(1, 11))], "cifar10"), "expected 0..9; let them count from 0"),
    "of a new dataset": ((["8", "9", "10"], None), "class 0 has 0 folders, .* one each; let them count from 0"),
    "numbers twice": (([*map(str, range(9)), "00"], "cifar10"), "class 0 has 2 folders"),
    "too few": ((sorted(NETTE)[:9], "imagenet-10"), "has 9 class folders"),
    "a list that does not start": ((["1", "3"], "cifar10", "label"), "class 0 has 0 labels"),
    "one case apart": ((["Cat", "ape", "cat"], None), "'Cat' and 'cat' differ in case alone; rename .* `class_order`"),
    "labels one case apart": (
        (["cat", "dog", "CAT"], None, "label"),
        "the class labels 'cat' and 'CAT' differ in case",
    ),
    "a name twice": ((["x", "x"], None, "name"), "has the class name 'x' twice"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_known_order_is_refused(arguments, message):
    with pytest.raises(GiftError, match=message):
        order(*arguments)


def test_a_class_order_file_decides_unless_the_dataset_says_otherwise(tmp_path):
    path = tmp_path / "order.txt"
    path.write_text("zebra\ncafe\u0301\n")
    assert order(["caf\u00e9", "left out", "zebra"], None, path=path).ids == {"zebra": 0, "caf\u00e9": 1}
    path.write_text("cat\nCat\n")
    assert order(["Cat", "cat"], None, path=path).ids == {"cat": 0, "Cat": 1}
    path.write_text("a\nA\nb c\n")
    with pytest.raises(GiftError, match="has 'A' as class 1, but letters has it as class 0; give the order of letters"):
        order(["A", "a", "b c"], LETTERS, path=path)
    path.write_text("A\nx\nb c\n")
    with pytest.raises(GiftError, match="has no class folder 'x'"):
        order(["A", "a", "b c"], LETTERS, path=path)


MISFITS = {b"a": "names 1 classes, expected 3", b"a\na\nb": "names 'a' twice", b"": "is empty", b"\xff": "not a text"}


@pytest.mark.parametrize(("text", "message"), MISFITS.items())
def test_class_order_files_that_do_not_fit_are_one_sentence(text, message, tmp_path):
    (tmp_path / "order.txt").write_bytes(text)
    with pytest.raises(GiftError, match=f"order.txt: {message}"):
        order(["a"], LETTERS, path=tmp_path / "order.txt")


def test_labels_are_whole_numbers_of_the_dataset():
    request, rows = ReadRequest(None, spec=get_dataset("cifar10")), np.eye(10)[[3, 1]]
    assert class_ids("here", np.array([3, 9]), request).tolist() == [3, 9]
    for labels, message in (([-1, 3], "has a label -1"), ([0, 10**9], "label 1000000000"), ([1, 10], "count from 1")):
        with pytest.raises(GiftError, match=message):
            class_ids("here", np.array(labels), request)
    assert hard_labels(rows, request.spec).tolist() == [3, 1]
    for other in (rows * 2, rows[:, :9], np.zeros((2, 10)), np.array(["a"])):
        assert hard_labels(other, request.spec) is None


def test_a_name_with_two_numbers_is_found_and_names_are_shown_with_theirs():
    assert different_ids(("plane", "Bird"), ("bird", "x")) == ("Bird", 1, 0)
    assert different_ids(("a", "0"), ("a", "b")) is None
    assert different_ids(("A", "a"), ("A", "a")) is None
    assert different_ids(("1", "0"), ("0", "1")) is None  # numbers are no names
    assert names_with_ids(order(SPELLINGS["cifar10"], "cifar10")).startswith("0 plane, 1 car, 2 bird")
    assert names_with_ids(order(SPELLINGS["cifar100"], "cifar100")).endswith("..., 99 Worm")
