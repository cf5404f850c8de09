"""A page in headless Chromium, driven by Playwright; its own browser builds are not needed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def _program() -> str:
    """Where Chromium is; without it, or Playwright, the test is skipped, and fails in CI, where both must be."""
    lacking = []
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not program:
        lacking.append("Chromium (apt-get install chromium)")
    try:
        import playwright  # noqa: F401
    except ImportError:
        lacking.append("Playwright (pip install playwright)")
    if lacking:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"browser tests need {' and '.join(lacking)}")
    return program


@contextmanager
def opened(file: Path | str, width: int, height: int = 1200) -> Iterator[tuple[Any, list[str], list[str]]]:
    """A file, or an address, in a browser of its own.

    Yields:
        Playwright's page, the addresses that were asked for, and what the console complains of.
    """
    program = _program()
    from playwright.sync_api import sync_playwright

    requests: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": height}, is_mobile=width < 600)
            page.on("request", lambda request: requests.append(request.url))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
            )
            page.goto(file if isinstance(file, str) else file.resolve().as_uri())
            yield page, requests, complaints
        finally:
            browser.close()


def wait(page: Any, condition: str, seconds: float = 30) -> None:
    """Wait for a condition in JavaScript; Playwright's own waiting evaluates text, which the pages forbid."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not come true within {seconds} s")
        page.wait_for_timeout(50)
