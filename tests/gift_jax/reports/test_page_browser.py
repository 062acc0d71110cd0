"""Reports of committed results in a real browser; left out where the extra `browser` is not there or does not start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.report import Report, main

TESTS = Path(__file__).parents[2]
BROWSE = TESTS / "helpers" / "browse.py"
RESULTS = sorted((TESTS.parent / "docs" / "results").glob("*/results.jsonl"))


@pytest.fixture(scope="module")
def browser():
    """Whether Chromium starts here: it needs libraries of the system."""
    tried = subprocess.run([sys.executable, BROWSE, "800"], capture_output=True, text=True, timeout=120)
    if tried.returncode:
        pytest.skip(f"no headless browser: {(tried.stderr.strip() or 'it does not start').splitlines()[-1]}")


@pytest.fixture(scope="module")
def reports(browser, tmp_path_factory):
    """A page of every committed study."""
    assert len(RESULTS) >= 6
    out = tmp_path_factory.mktemp("reports")
    for path in RESULTS:
        main(Report((path.parent,), out / path.parent.name))
    return [out / path.parent.name / "report.html" for path in RESULTS]


@pytest.mark.parametrize("width", [1200, 420], ids=["screen", "telephone"])
def test_reports_are_whole_in_a_browser(reports, width):
    """No complaint, nothing fetched from elsewhere, every picture drawn, and no line wider than the window."""
    command = [sys.executable, BROWSE, str(width), *map(str, reports)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [page["path"] for page in pages] == [str(path) for path in reports]
    for page in pages:
        flaws = {name: page[name] for name in ("complaints", "broken", "hidden", "scrolls", "fetched")}
        assert not any(flaws.values()), (page["path"], flaws)
        assert page["tables"] >= 2
        assert page["pictures"] >= 1
        assert page["text"] > 1000
