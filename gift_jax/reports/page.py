"""Reports: sections of Markdown, tables and pictures, as Markdown files and as one self-contained HTML page."""

import base64
import contextlib
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from gift_jax.runtime.files import atomic_write, make_directory, os_errors_as_gift_error, write_text


class Picture(NamedTuple):
    """A picture: its file's stem, what it shows in words, and SVG text or the bytes of a PNG."""

    name: str
    alt: str
    content: str | bytes

    @property
    def file_name(self) -> str:
        """Its file beside the report."""
        return f"{self.name}.{'svg' if isinstance(self.content, str) else 'png'}"

    @property
    def data(self) -> bytes:
        """What that file holds."""
        return self.content.encode() if isinstance(self.content, str) else self.content


class Table(NamedTuple):
    """A header and rows; cells after the first column are right-aligned figures unless they are text, which wraps."""

    rows: Sequence[Sequence[str]]
    text: bool = False

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        header, *body = self.rows
        rule = ["---"] + ["---" if self.text else "---:"] * (len(header) - 1)
        return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *body))


Block = str | Picture | Table
"""A piece of a section: Markdown, a picture or a table."""


class Section(NamedTuple):
    """A heading and what is under it; if folded, what is under it opens when its summary is chosen."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


_STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 76rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #999; }
p { max-width: 60rem; } a { color: #00558a; } nav ul { columns: 16rem; padding-left: 1.2rem; }
code { background: #f0f0f0; padding: 0 .2em; } pre { background: #f0f0f0; padding: .6rem; overflow-x: auto; }
pre code { padding: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; background: linear-gradient(to right, #fff 30%, #fff0) left / 3rem 100%,
  linear-gradient(to left, #fff 30%, #fff0) right / 3rem 100%, linear-gradient(to right, #0004, #0000) left / 1rem 100%,
  linear-gradient(to left, #0004, #0000) right / 1rem 100%; background-repeat: no-repeat;
  background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #ccc; white-space: nowrap; text-align: left; }
thead th { border-bottom: 2px solid #555; white-space: normal; vertical-align: bottom; }
.text td { white-space: normal; vertical-align: top; min-width: 5rem; }
figure { margin: 1rem 0; } figure svg, figure img { max-width: 100%; min-width: 34rem; height: auto; display: block; }
figcaption { font-size: .9rem; color: #444; }
summary { cursor: pointer; color: #00558a; padding: .2rem 0; }
@media print {
  body { max-width: none; font-size: 9pt; } nav { display: none; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } figure svg, figure img { min-width: 0; } figure, tr { break-inside: avoid; }
  summary { display: none; } details::details-content { display: block; content-visibility: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """The report as Markdown that refers to `pictures/`."""
    parts = [f"# {title}"]
    for section in sections:
        blocks = [_markdown(block) for block in section.blocks]
        if section.folded:
            blocks = ["<details><summary>Show</summary>", *blocks, "</details>"]
        parts += [f"## {section.title}", *blocks]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Table):
        return block.markdown
    return block.strip() if isinstance(block, str) else f"![{block.alt}](pictures/{block.file_name})"


def to_html(title: str, sections: Sequence[Section]) -> str:
    """The report as one HTML page that refers to nothing outside of itself."""
    parts = []
    for number, section in enumerate(sections, 1):
        text = "".join(_html(block, f"p{number}-{i}-") for i, block in enumerate(section.blocks))
        if section.folded:
            text = f"<details><summary>Show</summary>{text}</details>"
        parts.append(f'<section id="section-{number}"><h2>{html.escape(section.title)}</h2>{text}</section>\n')
    body = "".join([*parts[:1], _navigation(sections), *parts[1:]])
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n<h1>{html.escape(title)}</h1>\n{body}</main>\n</body>\n</html>\n"
    )


def _navigation(sections: Sequence[Section]) -> str:
    """Links to what comes after the first section; nothing if that is all."""
    titles = [html.escape(section.title) for section in sections[1:]]
    links = "".join(f'<li><a href="#section-{number}">{title}</a></li>' for number, title in enumerate(titles, 2))
    return f'<nav aria-label="More sections"><ul>{links}</ul></nav>\n' if links else ""


def _html(block: Block, prefix: str) -> str:
    """A block; tables and pictures that are wider than the window scroll inside a frame that the keyboard reaches."""
    frame = '<div class="scroll" tabindex="0" role="region" aria-label="{}">'
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    if isinstance(block, Table):
        text = markdown.render(block.markdown).replace("<table>", '<table class="text">' if block.text else "<table>")
        return f"{frame.format('table')}{text}</div>"
    if isinstance(block, str):
        return markdown.render(block)
    alt = html.escape(block.alt, quote=True)
    if isinstance(block.content, str):
        picture = inline_svg(block.content, block.alt, prefix)
    else:
        encoded = base64.b64encode(block.content).decode()
        picture = f'<img src="data:image/png;base64,{encoded}" alt="{alt}">'
    return f"<figure>{frame.format('picture')}{picture}</div><figcaption>{alt}</figcaption></figure>"


def inline_svg(svg: str, title: str, prefix: str) -> str:
    """An SVG file's picture for a page: with a title, without its file's header, its ids made unique by the prefix."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="|url\(#|href="#', rf"\g<0>{prefix}", svg)
    return re.sub(r"<svg\b([^>]*)>", rf'<svg role="img"\1><title>{html.escape(title)}</title>', svg, count=1)


def write_page(out: Path, title: str, sections: Sequence[Section]) -> None:
    """Write report.md, report.html and the pictures of the Markdown, each whole or not at all.

    Pictures that only the report before had are removed; other files beside them are not touched.
    """
    page, pictures = out / "report.md", out / "pictures"
    shown = {block.file_name: block.data for one in sections for block in one.blocks if isinstance(block, Picture)}
    make_directory(pictures)
    with os_errors_as_gift_error(out):
        before = re.findall(r"\(pictures/([^/()]+)\)", page.read_text()) if page.is_file() else []
        try:
            for name, data in shown.items():
                with atomic_write(pictures / name) as temporary:
                    temporary.write_bytes(data)
        except OSError:
            with contextlib.suppress(OSError):
                pictures.rmdir()  # if none was written
            raise
        for name in {*before} - {*shown}:
            (pictures / name).unlink(missing_ok=True)
    write_text(page, to_markdown(title, sections))
    write_text(out / "report.html", to_html(title, sections))
