"""The notebook of docs/, run as a reader would."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.mark.exhaustive
def test_the_tutorial_runs_from_a_checkpoint_to_a_report(tmp_path):
    shutil.copy(NOTEBOOK, tmp_path)
    command = [str(Path(sys.executable).with_name("jupyter-execute")), "--inplace", "tutorial.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "tutorial.ipynb").read_text())["cells"]
    text = json.dumps([cell.get("outputs") for cell in cells])
    assert "top-1 agreement 100 %" in text
    assert "18 runs, 0 failed" in text
    assert "| `gift` |" in text
    page = (tmp_path / "runs" / "tutorial" / "report.html").read_text()
    assert "From a .pth to a report" in page
