"""What MkDocs needs beside docs/*.md: pages of the API, of the notebook and of files at the root, and their links."""

import ast
import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
AT_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md")
PACKAGES = ("convert", "experiments", "benchmarks")
LINK = re.compile(r"(\]\()(?!\w+:|#)([^()\s#]+)")


def rooms() -> list[str]:
    """The modules and packages that have a page each, with all that is below them."""
    inside = (f"gift_jax.{path.stem}" for path in (ROOT / "gift_jax").iterdir() if path.suffix in ("", ".py"))
    return [*sorted(name for name in inside if "__" not in name), *PACKAGES]


def everyday_names() -> str:
    """The page of what `gift_jax` itself exports, each name with a link to its home."""
    lines = ["# gift_jax", "", "What `import gift_jax` offers, and the module that each name is in."]
    for node in ast.parse((ROOT / "gift_jax" / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            home = f"gift_jax.{node.module}"
            lines += ["", f"`{home}`", "", *(f"- [`{a.name}`][{home}.{a.name}]" for a in node.names)]
    return "\n".join(lines)


def notebook(path: Path) -> str:
    """A notebook in Markdown: text, code, and what the code printed or drew when it was last run."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += map(output, cell.get("outputs", []))
    return "\n\n".join(parts)


def output(shown: dict) -> str:
    """One output of a notebook's cell in Markdown."""
    data = shown.get("data", {"text/plain": shown.get("text", "")})
    if "image/png" in data:
        return f"![](data:image/png;base64,{''.join(data['image/png']).replace(chr(10), '')})"
    return "".join(data["text/markdown"]) if "text/markdown" in data else f"```\n{''.join(data['text/plain'])}\n```"


def pages() -> Iterator[tuple[str, str]]:
    """Pages that no file in docs/ has: path in the site, and Markdown."""
    yield "tutorial.md", notebook(ROOT / "docs" / "tutorial.ipynb")
    yield "api/gift_jax.md", everyday_names()
    yield from ((f"api/{name}.md", f"::: {name}") for name in rooms())
    yield from ((name, (ROOT / name).read_text()) for name in AT_THE_ROOT)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings GitHub's anchors, and the API its place in the navigation."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    config.nav.append({"API": [{name: f"api/{name}.md"} for name in ("gift_jax", *rooms())]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links, which are written as GitHub follows them: out of docs/, they lead to a page or the repository."""
    path = page.file.src_path
    place = "" if path in AT_THE_ROOT else posixpath.dirname(f"docs/{path}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(place, match[2])).replace(".ipynb", ".md")
        inside = target.removeprefix("docs/")
        if (inside != target or target in AT_THE_ROOT) and files.get_file_from_path(inside):
            return match[1] + posixpath.relpath(inside, posixpath.dirname(path) or ".")
        if not os.path.exists(ROOT / target):
            return match[0]
        return f"{match[1]}{config.extra['repository']}/blob/main/{target}"

    return LINK.sub(rewritten, markdown)
