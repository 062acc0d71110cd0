"""Archives of class folders: zip, tar, nested; read in place; unsafe ones are refused before anything is read."""

import io
import tarfile
import warnings
import zipfile

import pytest
from trees import RDED, assert_same, encoded, expected, pixels, tarred, tree, write, zipped

FILES = tree()


def below(top, files=FILES):
    return {top + name: content for name, content in files.items()}


GOOD = {
    "zip": zipped(FILES),
    "stored zip": zipped(FILES, zipfile.ZIP_STORED),
    "top folder": zipped(below("SYN/")),
    "two top folders and litter": zipped(
        {"__MACOSX/SYN/new000/._class000_id000.png": b"", "a/readme.txt": b"", **below("a/SYN/")}
    ),
    "tar": tarred(FILES),
    "tar of dot": tarred(below("./")),
    "tar.gz": tarred(below("SYN/"), "w:gz"),
    "tar.xz": tarred(FILES, "w:xz"),
    "zip in zip": zipped({"set/inner.zip": zipped(below("SYN/")), "set/readme.txt": b""}),
    "stored zip in stored zip": zipped({"inner.zip": zipped(FILES, 0)}, 0),
    "tar.gz in zip": zipped({"inner.tar.gz": tarred(FILES, "w:gz")}),
    "zip of Windows": zipped({"SYN\\": b"", **{"SYN\\" + name.replace("/", "\\"): FILES[name] for name in FILES}}),
    "zip in tar": tarred({"inner.zip": zipped(FILES)}),
}


@pytest.mark.parametrize("name", GOOD)
def test_archives_are_read_in_place(name, imported, tmp_path, monkeypatch):
    path = tmp_path / "set.bin"  # the content decides what it is, not its name
    path.write_bytes(GOOD[name])
    monkeypatch.setattr(zipfile.ZipFile, "extract", None)
    monkeypatch.setattr(tarfile.TarFile, "extract", None)
    assert_same(imported(path, *RDED), *expected(FILES, 2))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["set.bin", "set.safetensors"]


def linked_tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("new000/x.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    return stream.getvalue()


def linked_zip():
    entry = zipfile.ZipInfo("new000/x.png")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    return stream.getvalue()


def twice():
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")
        for content in (b"a", b"b"):
            archive.writestr("new000/x.png", content)
    return stream.getvalue()


def broken(content, member, by=b"\xff" * 8):
    start = content.index(member) + len(member) + 40
    return content[:start] + by + content[start + len(by) :]


def encrypted():
    content = bytearray(zipped(FILES, 0))
    at = content.index(b"PK\x01\x02")
    while at >= 0:  # the flag in the central directory, which readers go by
        content[at + 8] |= 1
        at = content.find(b"PK\x01\x02", at + 4)
    return bytes(content)


OUTSIDE = "would lie outside the archive's folder"
BAD = {
    "parent zip": (zipped({**FILES, "../evil.png": b""}), OUTSIDE),
    "parent in the middle": (zipped({**FILES, "a/../../evil.png": b""}), OUTSIDE),
    "parent, other slashes": (zipped({**FILES, "a\\..\\evil.png": b""}), OUTSIDE),
    "absolute zip": (zipped({**FILES, "/tmp/evil.png": b""}), OUTSIDE),
    "a drive": (zipped({**FILES, "C:/evil.png": b""}), OUTSIDE),
    "parent tar": (tarred({**FILES, "../evil.png": b""}), OUTSIDE),
    "absolute tar": (tarred({**FILES, "/tmp/evil.png": b""}, "w:gz"), OUTSIDE),
    "hidden parent": (zipped({**FILES, "../.evil.png": b""}), OUTSIDE),
    "inner parent": (zipped({"inner.zip": zipped({**FILES, "../evil.png": b""})}), OUTSIDE),
    "link in a tar": (linked_tar(), "is a link or a device"),
    "link in a zip": (linked_zip(), "is a link or a device"),
    "twice": (twice, "is in it twice"),
    "line break": (zipped({**FILES, "../a\nb.png": b""}), OUTSIDE),
    "encrypted": (encrypted, "cannot be read"),
    "truncated zip": (zipped(FILES)[:-30], "is no whole one"),
    "truncated tar": (tarred(FILES)[:-11_000], "ends early"),
    "truncated in a file": (tarred(FILES)[:15_000], "cannot be read"),
    "a tar's header": (broken(tarred(FILES), sorted(FILES)[9].encode()), "ends early"),
    "truncated tar.gz": (tarred(FILES, "w:gz")[:-100], "cannot be read"),
    "damaged member": (broken(zipped(FILES, 0), sorted(FILES)[0].encode()), "cannot be read"),
    "nested twice": (zipped({"a.zip": zipped({"b.zip": zipped(FILES)})}), "not understood"),
    "two inside": (zipped({"a.zip": zipped(FILES), "b.zip": zipped(FILES)}), "not understood"),
    "not the dataset": (zipped(below("", tree(classes=9))), "class 9 has 0 folders"),
    "empty": (zipped({}), "not understood"),
}


@pytest.mark.parametrize("name", BAD)
def test_unsafe_and_damaged_archives_are_refused(name, refused, tmp_path):
    content, message = BAD[name]
    path = tmp_path / "set.zip"
    path.write_bytes(content() if callable(content) else content)
    refused("distilled", path, *RDED, message=message)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["set.zip"]


@pytest.mark.parametrize(
    ("limit", "content", "message"),
    [
        ("records.LARGEST_FILE", zipped({**FILES, sorted(FILES)[4]: bytes(2 << 20)}), "declares 2,097,152 bytes"),
        ("archives.MOST_MEMBERS", tarred(FILES), "more than 29 members"),
    ],
)
def test_archives_that_declare_too_much_are_not_read(limit, content, message, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(f"gift_jax.readers.{limit}", 1 << 20 if "LARGEST" in limit else 29)
    (tmp_path / "set.zip").write_bytes(content)
    refused("distilled", tmp_path / "set.zip", *RDED, message=message, names="set.zip")


def test_one_image_beside_an_archive_is_a_tree(refused, tmp_path):
    folder = write(tmp_path / "x", {"preview.png": encoded(pixels(1)[0]), "set.zip": zipped(FILES)})
    refused("distilled", folder, *RDED, message="'preview.png' is in no class folder")


def test_a_folder_of_one_archive_is_that_archive(imported, tmp_path):
    """Of several none, as of torch files (`test_data_pt.py`)."""
    folder = write(tmp_path / "x", {"SYN.zip": zipped(FILES), "readme.md": b""})
    assert_same(imported(folder, *RDED), *expected(FILES, 2))
