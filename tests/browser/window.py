"""A browser's window, and what is in it."""

from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from writecache_impl.explorer import page


class Browser:
    """One window, and what is in it."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver, self.folder = driver, folder
        self._n_pages = 0

    def size(self, width: int, height: int = 900) -> None:
        """So many pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def media(self, scheme: str = "light", medium: str = "screen") -> None:
        """What the reader prefers."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": medium, "features": features}
        )

    def visit(self, path: Path, link: str = "") -> None:
        """Open a page, anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{path.as_uri()}{link}")

    def visit_text(self, html: str, link: str = "") -> Path:
        """Open a page that has this text."""
        self._n_pages += 1
        path = self.folder / f"page-{self._n_pages}.html"
        path.write_text(html, encoding="utf-8")
        self.visit(path, link)
        return path

    def visit_document(self, document: dict[str, Any], link: str = "") -> Path:
        """Open the explorer with a document in it."""
        return self.visit_text(page(document), link)

    def press(self, *keys: str) -> None:
        """Keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """As it is in the page, whether it is in sight or not."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return list(self.js(script, selector))

    def rows(self, selector: str) -> list[list[str]]:
        """The cells of a table's body; a cell's lines are joined by `; `, its parts by ` | `."""
        return list(self.js(_ROWS, selector))

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    @property
    def place(self) -> str:
        """What the address says."""
        return str(self.js("return location.hash"))

    def complaints(self) -> list[str]:
        """What the browser's console has to say."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


_ROWS = """
const text = (cell) => {
  const waiting = [...cell.querySelectorAll(".pending")];
  const lines = (part) => {
    const found = [...part.querySelectorAll(".line")].map((line) => line.textContent);
    return found.length ? found.join("; ") : part.textContent;
  };
  return waiting.length ? waiting.map(lines).join(" | ") : lines(cell).replace(" (changed)", "");
};
return [...document.querySelectorAll(arguments[0] + " tbody tr")].map((row) =>
  [...row.children].map(text));
"""
