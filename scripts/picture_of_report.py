"""The README's picture: the top of a run's report in a real browser (run make demo first).

python scripts/picture_of_report.py runs/demo/report.html docs/img/report.png
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(report: Path, picture: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1000}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        bottom = page.locator("#answer figure").first.bounding_box()
        if bottom is None:
            raise SystemExit(f"{report}: has no chart of the answer")
        height = bottom["y"] + bottom["height"] + 24
        page.set_viewport_size({"width": 1000, "height": int(height)})
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
