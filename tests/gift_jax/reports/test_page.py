"""Reports: the page stands alone, is well formed, and says in words what its pictures show."""

import re

import html5lib
import numpy as np
import pytest
from setups import distilled_set, random_teacher

from gift_jax.reports import page, pictures, sheet, tables
from gift_jax.reports.page import Section

RESULTS = [
    {"loss": loss, "optimizer": optimizer, "rate": rate, "seed": seed, "top1_last": value + seed}
    | {"history": [{"epoch": 1, "top1": 5.0}, {"epoch": 2, "top1": value}], "losses": [[1, 1.0], [2, 0.5]]}
    for loss, value in (("kl", 20.0), ("gift", 60.0))
    for optimizer in ("sgd", "<adam> & co")
    for rate in ("0.1", "1")
    for seed in (0, 1)
]
GRID = tables.make_grid([row for row in RESULTS if row["rate"] == "0.1"], "loss", "optimizer")
PANELS = pictures.panels_by(RESULTS, "optimizer", "loss", "rate", 0.0)


@pytest.fixture(scope="module")
def sections():
    table = tables.grid_table(GRID, "loss", worst=True)
    drawn = [
        pictures.points("points", {"": GRID}, "Points & bars"),
        pictures.curves("curves", RESULTS, "loss", "Curves"),
        pictures.lines("panels", PANELS, "rate", "Rates", scale="log"),
        sheet.contact_sheet("sheet", distilled_set(), random_teacher(), "0123456789"),
    ]
    return [Section("Tables <1>", ["A `code` & **bold** word.", table]), Section("Pictures", drawn)]


def test_the_page_is_well_formed_and_refers_to_nothing_outside(sections):
    text = page.to_html("A <title>", sections)
    html5lib.HTMLParser(strict=True).parse(text)  # raises on the first error
    references = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', text)
    assert all((first or second).startswith(("#", "data:image/png;base64,")) for first, second in references)
    assert "<script" not in text
    assert "A &lt;title&gt;" in text


def test_ids_are_unique_and_references_lead_to_them(sections):
    text = page.to_html("x", sections)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    assert {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)} <= set(ids)


def test_every_picture_says_what_it_shows_and_scrolls_in_its_frame(sections):
    text = page.to_html("x", sections)
    svgs = re.findall(r"<svg role=\"img\"[^>]*><title>([^<]+)</title>", text)
    assert len(svgs) == text.count("<svg") == 3
    assert all(alt for alt in re.findall(r'<img src="[^"]*" alt="([^"]*)"', text))
    assert text.count('class="scroll"') == 1 + 4


def test_markdown_refers_to_the_files_beside_it(sections, tmp_path):
    page.write_page(tmp_path, "Title", sections)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Title\n\n## Tables <1>\n")
    names = re.findall(r"\]\(pictures/([^)]+)\)", text)
    assert sorted(names) == sorted(path.name for path in (tmp_path / "pictures").iterdir())
    (tmp_path / "pictures" / "mine.txt").touch()
    page.write_page(tmp_path, "Title", sections[:1])  # the older pictures of the report go
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["mine.txt"]


def test_what_is_folded_is_whole_in_markdown_and_in_html(sections):
    folded = [section._replace(folded=True) for section in sections]
    text = page.to_markdown("x", folded)
    assert "## Tables <1>\n\n<details><summary>Show</summary>\n\nA `code`" in text  # the blank line counts
    assert "## Pictures\n\n<details><summary>Show</summary>\n\n![" in text
    assert text.count("\n\n</details>") == 2
    html = page.to_html("x", folded)
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    assert [len(one.findall(".//table")) for one in tree.iter("details")] == [1, 0]
    assert [len(one.findall(".//figure")) for one in tree.iter("details")] == [0, 4]
    assert "::details-content" in html.split("@media print")[1]  # what is folded is printed
    words = [re.findall(r"\w+", re.sub(r"<style.*?</style>|<summary.*?</summary>|<[^>]*>", " ", found, flags=re.DOTALL))
             for found in (html, page.to_html("x", sections))]  # fmt: skip
    assert words[0] == words[1]


def test_a_contact_sheet_tells_what_it_shows(tmp_path):
    made = sheet.contact_sheet("sheet_x", distilled_set(), random_teacher(), "abcdefghij")
    path = tmp_path / "sheet_x.png"
    path.write_bytes(made.content)
    assert sheet.read_png(path) == made
    assert "22 of the 22 images of the random set" in made.alt


def test_the_teachers_three_likeliest_classes():
    scores = np.log(np.array([[1, 2, 3, 4, 10, 1, 1, 1, 1, 76]], "f") / 100)
    stored = distilled_set(1, soft_labels=scores)
    assert sheet._top3(stored, None, 0, "abcdefghij") == ["j 0.76", "e 0.10", "d 0.04"]
    assert sheet._top3(distilled_set(1), None, 0, "abcdefghij") == []
