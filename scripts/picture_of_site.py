"""Take pictures of the Index and of one record's page of a site, at desktop and phone width, for the documentation.

python scripts/picture_of_site.py SITE SRCH docs/img
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"desktop": (1100, 900), "phone": (390, 844)}


def main(site: str, srch: str, folder: str) -> None:
    pages = {"index": Path(site, "index.html"), "record": Path(site, "records", srch, "index.html")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for size, (width, height) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            for name, path in pages.items():
                page.goto(path.resolve().as_uri())
                page.screenshot(path=Path(folder, f"site-{name}-{size}.png"))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
