"""The trace explorer in use: keys, links, sizes, colours, and what is put into it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from window import Browser

from writecache_impl.explorer import embedded, page
from writecache_impl.explorer.writing import states_of_vectors
from writecache_models.findings import FINDINGS
from writecache_models.trace_states.document import document, of_finding
from writecache_models.vectors import Trace

At = Callable[[str], Browser]
EVIL = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"


def trace(name: str = "mine", **changes: Any) -> Trace:
    steps = ((["open"], {}), (["write", 0, 8, 1], {}), (["message", EVIL], {}), (["flush"], {}))
    given: dict[str, Any] = {
        "name": name,
        "kernel": None,
        "target": None,
        "table": "s ORIGIN CACHE 4096 2 pause_writeback 0",
        "cache_sectors": 64,
        "origin_sectors": 64,
        "steps": steps,
    }
    return Trace(**{**given, **changes})


# Keys and links


def test_keys_lead_everywhere(at: At) -> None:
    browser = at("#overwrite-hits-older-version/0")
    last = len(browser.texts("#steps li")) - 1
    assert browser.text("#where") == f"step 0 of 0\u2013{last}"
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.text("#where").startswith("step 2 ")
    assert "discard 1 1" in browser.text("#now-title")
    browser.press(Keys.ARROW_LEFT)
    assert browser.text("#where").startswith("step 1 ")
    browser.press(Keys.END)
    assert browser.text("#where").startswith(f"step {last} ")
    assert browser.one("#next").get_attribute("disabled")
    browser.press(Keys.HOME)
    assert browser.text("#where").startswith("step 0 ")
    # Up from the first moment of a step is the last of the one before, and down again.
    browser.press(Keys.ARROW_RIGHT, *["k"] * 40)
    assert browser.place.endswith("/0.0")
    browser.press(Keys.ARROW_DOWN)
    assert browser.place.endswith("/0.1")
    browser.press("c")
    assert browser.one("#crash").is_displayed()
    browser.press("c")
    assert not browser.one("#crash").is_displayed()
    browser.press("r")
    assert browser.place.startswith("#overwrite-hits-older-version--repaired/")
    browser.press("?")
    assert browser.one("#help").is_displayed()
    # Keys of the page mean nothing while a dialog is open.
    browser.press(Keys.ARROW_RIGHT, Keys.ESCAPE)
    assert not browser.one("#help").is_displayed()
    assert browser.text("#where").startswith("step 0 ")


def test_what_is_current_is_announced_and_marked(at: At) -> None:
    browser = at("#format-crash/0.3/c0")
    assert browser.one("#spoken").get_attribute("role") == "status"
    assert browser.text("#spoken").startswith("Step 0: open. Moment 3: write metadata")
    for part in ("#steps", "#moments", "#crashes"):
        assert len(browser.texts(f"{part} [aria-current='step']")) == 1
    assert browser.one("#crash-button").get_attribute("aria-pressed") == "true"


def test_buttons_do_what_keys_do(at: At) -> None:
    browser = at("#pass-frees-its-own-block/0")
    for button in ("next", "next", "back", "moment-back", "crash-button"):
        browser.one(f"#{button}").click()
    assert browser.text("#where").startswith("step 1 ")
    assert browser.one("#crash").is_displayed()
    browser.one("#to-verdict").click()
    assert browser.text("#where").startswith("step 2 ")


def test_a_link_opens_its_place_and_the_page_makes_such_links(at: At) -> None:
    browser = at("#two-entries-in-one-commit/3.10/c1")
    assert browser.text("#where").startswith("step 3 ")
    assert "everything pending is kept" in browser.text("#crashes [aria-current]")
    assert browser.place == "#two-entries-in-one-commit/3.10/c1"
    browser.js("location.hash = '#format-crash/0.2'")
    assert browser.text("#title").endswith("format-crash")


@pytest.mark.parametrize("name", [finding.name for finding in FINDINGS])
def test_a_findings_link_opens_where_its_contract_breaks(at: At, name: str) -> None:
    browser = at(f"#{name}")
    opened = browser.place
    assert not browser.one("#crash").is_displayed() or "\u2717 Breaks" in browser.text("#recovered")
    browser.press(Keys.HOME, "b")
    assert browser.place == opened
    assert browser.text("#where") == "step {0} of 0\u2013{0}".format(
        len(browser.texts("#steps li")) - 1
    )


def test_what_another_finding_breaks_has_its_name(at: At) -> None:
    browser = at("#fua-not-committed")
    assert browser.texts("#steps .flag") == ["\u2717 format-crash", "crash \u2717"]
    assert browser.texts("#moments .flag") == ["crash \u2717"]
    browser.press(Keys.HOME)
    assert set(browser.texts("#moments .flag")) == {"\u2717 format-crash"}
    browser.one("#result a").click()
    assert browser.place.startswith("#format-crash/")
    assert set(browser.texts("#steps .flag")) == {"crash \u2717"}


def test_a_link_to_nothing_is_said_in_a_line(at: At) -> None:
    for link in ("#nothing", "#%E0%A4%A", "#<img>", "#a/b/c/d"):
        browser = at(link)
        assert browser.text("#problem").startswith("No trace here is called "), link
        assert "\n" not in browser.text("#problem")
        assert browser.one("main").is_displayed()


def test_a_place_beyond_the_end_is_the_end(at: At) -> None:
    browser = at("#format-crash/999.999/c999")
    assert browser.text("#where") == "step 0 of 0\u20130"


def test_everything_that_can_be_used_has_a_name(at: At) -> None:
    browser = at("#two-entries-in-one-commit/3.10/c0")
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    used = [
        node
        for node in tree["nodes"]
        if node.get("role", {}).get("value") in ("button", "combobox", "table", "region", "list")
    ]
    assert len(used) > 30
    unnamed = [
        node["role"]["value"]
        for node in used
        if not node.get("name", {}).get("value") and node["role"]["value"] != "list"
    ]
    assert unnamed == []


# Sizes and colours


def overflow(browser: Browser) -> int:
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(browser.js(script))


@pytest.mark.parametrize("width", [400, 900, 1400])
def test_nothing_is_wider_than_the_window(at: At, width: int) -> None:
    browser = at("#format-crash")
    browser.size(width)
    names = browser.js("return [...document.querySelectorAll('option')].map((o) => o.value)")
    assert len(names) > 2 * len(FINDINGS)
    for name in names:
        browser.js("location.hash = '#' + encodeURIComponent(arguments[0])", name)
        browser.press(Keys.END, "c")
        assert overflow(browser) <= 0, f"{name} at {width} pixels"
        browser.js("document.querySelector('#help').showModal()")
        assert overflow(browser) <= 0
        browser.press(Keys.ESCAPE)
    browser.js("document.querySelector('#cache').style.width = '2000px'")
    assert overflow(browser) > 0, "planted, and not noticed"


CONTRAST = """
const luminance = (color) => {
  const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!/, 0\\)$/.test(color)) return color;
  }
  return "rgb(255, 255, 255)";
};
const worst = [];
for (const element of document.querySelectorAll("main *, header *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || element.closest(":disabled") || !element.checkVisibility()) continue;
  const pair = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort();
  const ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
  worst.push([ratio, element.tagName, element.className, element.textContent.slice(0, 30)]);
}
return worst.sort((a, b) => a[0] - b[0]);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(at: At, scheme: str) -> None:
    browser = at("#two-entries-in-one-commit/3.10/c0")
    browser.media(scheme)
    dark = browser.js(
        "return getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/)[0] < 128"
    )
    assert dark == (scheme == "dark")
    browser.js("document.getAnimations().forEach((one) => one.finish())")
    found = browser.js(CONTRAST)
    assert len(found) > 100
    assert found[0][0] >= 4.5, found[:5]


def test_on_paper_there_are_no_controls_and_nothing_is_cut(at: At) -> None:
    browser = at("#two-entries-in-one-commit/3.10/c0")
    browser.media(medium="print")
    browser.size(700)
    assert not browser.one(".transport").is_displayed()
    assert not browser.one("#open-button").is_displayed()
    assert overflow(browser) <= 0
    for part in ("#steps", "#moments"):
        script = (
            "const e = document.querySelector(arguments[0]); return e.scrollHeight - e.clientHeight"
        )
        assert browser.js(script, part) <= 1


# What is put into it


def test_a_vectors_strings_are_text_and_nothing_else(browser: Browser) -> None:
    whole = states_of_vectors([trace(EVIL, kernel=f"6.12-{EVIL}", target="1.6.0")])
    browser.visit_document(whole)
    assert browser.js("return window.hit") is None
    assert EVIL in browser.text("#title")
    assert EVIL in browser.text("#about")
    assert any(f"message {EVIL}" in one for one in browser.texts("#steps .op"))
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "c")
    assert browser.js("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.js("return window.hit") is None


def test_without_its_escapes_a_planted_string_would_be_noticed(browser: Browser) -> None:
    whole = states_of_vectors([trace(EVIL)])
    escaped, bare = embedded(whole), json.dumps(whole, separators=(",", ":"))
    assert "<" not in escaped
    assert json.loads(escaped) == json.loads(bare)
    browser.visit_text(page(whole).replace(escaped, bare))
    # The page's policy still lets nothing run; but there is nothing to see.
    assert browser.js("return window.hit") is None
    assert browser.text("#problem").startswith("This is not JSON: ")
    assert len(browser.complaints()) >= 1, "the browser says that it refused a script"


def test_the_page_asks_for_nothing_and_could_not(at: At) -> None:
    browser = at("#format-crash")
    assert browser.js("return performance.getEntriesByType('resource').length") == 0
    script = (
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then("
        "() => done('sent'), (error) => done(String(error)))"
    )
    assert "TypeError" in browser.driver.execute_async_script(script)
    assert any("Content Security Policy" in one for one in browser.complaints())


def states_text() -> str:
    return json.dumps(states_of_vectors([trace("opened")]))


def paste(browser: Browser, text: str) -> None:
    browser.press("o")
    browser.js("document.querySelector('#text').value = arguments[0]", text)
    browser.one("#show-text").click()


def test_what_the_command_writes_can_be_pasted_and_opened(at: At, tmp_path: Path) -> None:
    browser = at("#format-crash")
    paste(browser, states_text())
    assert not browser.one("#open").is_displayed()
    assert browser.text("#title").endswith("opened")
    browser.press(Keys.ARROW_RIGHT)
    assert "data 1 of sectors 0\u20137" in browser.text("#cache")
    file = tmp_path / "states.json"
    file.write_text(states_text().replace('"opened"', '"from a file"'))
    browser.press("o")
    browser.one("#file").send_keys(str(file))
    browser.driver.implicitly_wait(5)
    assert browser.one("#open:not([open])") is not None
    assert browser.text("#title").endswith("from a file")


RUN = "writecache vectors show --json-states -o states.json FILE"
VECTOR = f"This is a vector, which this page cannot play. Run: {RUN}"


UNUSABLE = (
    ("", "There is nothing to show: it is empty."),
    ("  \n ", "There is nothing to show: it is empty."),
    ("\n".join(trace().lines()), VECTOR),
    ("\n".join(list(trace().lines())[1:]), VECTOR),
    (next(trace().lines()), VECTOR),
    ("\u00fd7zXZ\0\0", f"This is a packed vector, which this page cannot play. Run: {RUN}"),
    ("hello", "This is not JSON: "),
    ("{\n\n", "This is not JSON: "),
    ("[1, 2]", "This is not what the trace explorer opens. It is made by: "),
    ("null", "This is not what the trace explorer opens. It is made by: "),
    ('{"format": "writecache-trace-states", "version": 3}', "This file has version 3, and "),
    ('{"format": "writecache-trace-states", "version": 2}', "This file is damaged: it has no "),
    ('{"format": "writecache-trace-states", "version": 2, "traces": [7]}', "This file is "),
)  # fmt: skip


def test_what_cannot_be_opened_is_said_in_a_line(at: At) -> None:
    browser = at("#format-crash")
    for text, says in UNUSABLE:
        paste(browser, text)
        said = browser.text("#open-problem")
        assert said.startswith(says), text
        assert "\n" not in said
        # What was there is there still.
        browser.press(Keys.ESCAPE)
        assert browser.text("#title").endswith("format-crash")


def damaged() -> list[tuple[str, Any]]:
    """A document with one thing wrong in it, in many ways."""
    ways: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
        ("no pool", lambda one: one.pop("pool")),
        ("no steps", lambda one: one.update(steps=[])),
        ("a title that is none", lambda one: one.update(title=3)),
        ("a verdict nowhere", lambda one: one["verdict"].update(step=99)),
        ("a crash nowhere", lambda one: one["verdict"].update(crash=99)),
        (
            "a number beyond the pool",
            lambda one: one["steps"][0]["moments"][0].__setitem__(3, 9999),
        ),
        ("a number that is none", lambda one: one["steps"][0]["moments"][1].__setitem__(4, "1")),
        ("an unknown kind", lambda one: one["steps"][0]["moments"][0].__setitem__(0, "thing")),
        ("a moment cut short", lambda one: one["steps"][0]["moments"][0].pop()),
        ("a crash for memory", lambda one: swap(one)),
        ("a step without moments", lambda one: one["steps"][0].update(moments=[])),
        ("pairs that are none", lambda one: one.update(about=[["a"]])),
    ]
    return [(name, change) for name, change in ways]


def swap(one: dict[str, Any]) -> None:
    moment = one["steps"][0]["moments"][-1]
    moment[2] = moment[5]


def test_damage_is_found_before_it_is_shown(at: At) -> None:
    finding = next(one for one in FINDINGS if one.name == "format-crash")
    right = json.dumps(document([of_finding(finding, mended=False)]))
    browser = at("#run-over-duplicate")
    for name, change in damaged():
        whole = json.loads(right)
        change(whole["traces"][0])
        paste(browser, json.dumps(whole))
        assert browser.text("#open-problem").startswith("This file is damaged: "), name
        browser.press(Keys.ESCAPE)
    assert browser.text("#title").endswith("run-over-duplicate")
    paste(browser, right)
    assert browser.text("#title").endswith("format-crash")
