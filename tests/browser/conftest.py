"""A headless Chromium, and pages made for it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from window import Browser

from writecache_impl.explorer.writing import write_docs_page


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.fail("no browser to test with: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver: webdriver.Chrome, tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(driver, tmp_path)
    browser.size(1400)
    browser.media()
    yield browser
    assert browser.complaints() == [], "the page complains in the console"


@pytest.fixture(scope="session")
def docs_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation's page: all findings, and some recorded traces."""
    path = tmp_path_factory.mktemp("explorer") / "trace-explorer.html"
    write_docs_page(path, lambda name: f"findings/{name}.html")
    return path


@pytest.fixture
def at(browser: Browser, docs_page: Path) -> Callable[[str], Browser]:
    """The documentation's page, opened by a link."""

    def visit(link: str) -> Browser:
        browser.visit(docs_page, link)
        return browser

    return visit
