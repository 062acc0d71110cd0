"""Load pages in headless Chromium (Qt) and print what a reader would see, a JSON line each: `browse.py WIDTH HTML...`.

A process of its own, for Qt wants the main thread; it ends by os._exit, since Qt's end may crash without a display.
"""

import json
import os
import sys
from typing import ClassVar

os.environ.update(QT_QPA_PLATFORM="offscreen", QTWEBENGINE_CHROMIUM_FLAGS="--no-sandbox --disable-gpu")

from PySide6.QtCore import QUrl
from PySide6.QtWebEngineCore import QWebEnginePage
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

SEEN = """
document.querySelectorAll("details").forEach(one => { one.open = true; });
JSON.stringify({
    title: document.title,
    text: document.body.innerText.length,
    tables: document.querySelectorAll("table").length,
    pictures: document.querySelectorAll("img, svg").length,
    broken: [...document.images].filter(image => !image.complete || image.naturalWidth == 0).length,
    hidden: [...document.querySelectorAll("img, table")].filter(one => one.getBoundingClientRect().height < 10).length,
    scrolls: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    fetched: performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length
})
"""


class Page(QWebEnginePage):
    """A page that keeps what scripts and the browser complain of."""

    complaints: ClassVar[list[str]] = []

    def javaScriptConsoleMessage(self, level: object, message: str, line: int, source: str) -> None:
        """Called by Qt."""
        self.complaints.append(f"{source}:{line}: {message}")


def main(width: str, *paths: str) -> None:
    """Load one page after another."""
    application, view = QApplication(sys.argv[:1]), QWebEngineView()
    page, waiting = Page(view), list(paths)
    view.setPage(page)
    view.resize(int(width), 900)
    view.show()

    def load_next() -> None:
        if not waiting:
            sys.stdout.flush()
            os._exit(0)
        page.complaints.clear()
        view.load(QUrl.fromLocalFile(os.path.abspath(waiting[0])))

    def report(seen: str) -> None:
        print(json.dumps({"path": waiting.pop(0), "complaints": page.complaints, **json.loads(seen)}))
        load_next()

    def loaded(whole: bool) -> None:
        if not whole:
            raise SystemExit(f"{waiting[0]} could not be loaded")
        page.runJavaScript(SEEN, report)

    page.loadFinished.connect(loaded)
    load_next()
    application.exec()


if __name__ == "__main__":
    main(*sys.argv[1:])
