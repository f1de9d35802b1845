"""What the trace explorer shows is what the reference says, computed here by another way."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from window import Browser

from writecache_models.content import Content
from writecache_models.crashing import Setting, run
from writecache_models.devices import Devices, pattern
from writecache_models.finding import Trace, faithful, show
from writecache_models.findings import FINDINGS, finding_named
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.trace_states.document import REPAIRED, document, of_finding
from writecache_spec.layout import MAGIC
from writecache_spec.state import State
from writecache_spec.units import SECTOR_SIZE, U64_MAX

At = Callable[[str], Browser]
NAMES = [finding.name for finding in FINDINGS]


def states(name: str) -> list[State]:
    """Memory after each operation of a finding's trace, on a machine that nobody watches."""
    finding = finding_named(name)
    trace = finding.shown_by
    assert isinstance(trace, Trace)
    sizes = trace.cache_sectors * SECTOR_SIZE, trace.origin_sectors * SECTOR_SIZE
    machine = Machine(faithful(finding), Devices(*map(Content, sizes)))
    found = []
    for op in trace.ops:
        perform(machine, op, trace.table)
        assert machine.wc is not None
        found.append(machine.wc)
    return found


def entries_of(wc: State) -> list[list[str]]:
    newest = {blocks[-1] for _, blocks in wc.tree.items()}
    rows = []
    for block, entry in enumerate(wc.entries):
        if entry.seq_count != U64_MAX:
            said = "committed" if entry.seq_count < wc.seq_count else "uncommitted"
            said += "" if block in newest else ", older version"
            rows.append([str(block), str(entry.original_sector), str(entry.seq_count), said])
    return rows


def entries_shown(browser: Browser) -> list[list[str]]:
    tables = browser.texts("#memory caption")
    if not any(caption.startswith("Entries") for caption in tables):
        return []
    return browser.rows("#memory .pairs div table:first-child")


def differences(browser: Browser, expected: list[State]) -> list[int]:
    """Steps at which the entries, the free list or the counts are shown otherwise."""
    found = []
    browser.press("\ue011")  # Home
    for number, wc in enumerate(expected):
        assert browser.text("#where") == f"step {number} of 0\u2013{len(expected) - 1}"
        lists = {row[0]: row[1:] for row in browser.rows("#memory .named")}
        n_free, n_lru = (
            f"{len(one)} block{'s' if len(one) != 1 else ''}" for one in (wc.freelist, wc.lru)
        )
        fits = (
            entries_shown(browser) == entries_of(wc)
            and lists["free list"][1] == n_free
            and lists["LRU, oldest first"][1] == n_lru
            and lists["sequence count"] == [str(wc.seq_count)]
            and lists["uncommitted blocks"] == [str(wc.uncommitted_blocks)]
        )
        if not fits:
            found.append(number)
        browser.press("\ue014")  # right arrow
    return found


@pytest.mark.parametrize("name", ["two-entries-in-one-commit", "overwrite-hits-older-version"])
def test_memory_at_each_step_is_the_references(at: At, name: str) -> None:
    assert differences(at(f"#{name}"), states(name)) == []


def test_a_wrong_state_is_noticed(browser: Browser) -> None:
    name = "two-entries-in-one-commit"
    right = document([of_finding(finding_named(name), mended=False)])
    wrong = copy.deepcopy(right)
    (trace,) = wrong["traces"]
    memory = trace["pool"][trace["steps"][2]["moments"][-1][2]]
    trace["pool"][memory["entries"]][1][1] += 1
    browser.visit_document(wrong)
    assert differences(browser, states(name)) == [2]
    browser.visit_document(right)
    assert differences(browser, states(name)) == []


def test_durable_and_pending_are_what_the_crash_model_has(at: At) -> None:
    name = "two-entries-in-one-commit"
    finding = finding_named(name)
    trace = finding.shown_by
    assert isinstance(trace, Trace)
    setting = Setting(faithful(finding), trace.table, trace.cache_sectors, trace.origin_sectors)
    played = run(setting, trace.ops)
    browser = at(f"#{name}/0")
    n_pending = 0
    for end in played.ends:
        (cache, _) = played.moments[end].disks
        shown = {row[0]: row for row in browser.rows("#cache")}
        for sector in range(1, trace.cache_sectors):
            pending = cache.pending.get(sector, ())
            n_pending += len(pending)
            assert (
                in_words(cache.durable.get(sector)) == shown.get(str(sector), ["", "", "zeros"])[2]
            )
            said = shown.get(str(sector), ["", "", "", ""])[3]
            assert said == " | ".join(map(in_words, pending))
        browser.press("\ue014")
    assert n_pending >= 4


def in_words(content: Any) -> str:
    """A sector of data, as the page calls it."""
    if content is None or not any(content):
        return "zeros"
    found = [
        f"data {tag} of sector {sector}"
        for tag in range(10)
        for sector in range(10)
        if content == pattern(sector, 1, tag)
    ]
    return found[0]


@pytest.mark.parametrize("name", NAMES)
def test_each_finding_shows_where_the_contract_breaks(at: At, name: str) -> None:
    finding = finding_named(name)
    shown = show(finding, faithful(finding))
    assert shown is not None
    browser = at(f"#{name}")
    assert browser.text("#verdict").startswith("The contract breaks at step ")
    browser.press("b")
    step, moment = map(int, browser.place.split("/")[1].split("."))
    assert step == len(browser.texts("#steps li")) - 1, "a shrunk trace ends where it goes wrong"
    if browser.place.count("/") == 2:
        assert "\u2717 Breaks the contract" in browser.text("#recovered")
    else:
        assert "\u2717" in browser.text("#result")
    assert browser.one("#moments [aria-current] .number").text == str(moment)


@pytest.mark.parametrize("name", NAMES)
def test_the_repaired_reference_keeps_the_contract_all_the_way(at: At, name: str) -> None:
    browser = at(f"#{name}{REPAIRED}")
    assert browser.text("#verdict").startswith("The contract is kept.")
    marked = [flag for flag in browser.texts(".flag") if "\u2717" in flag]
    assert marked == []


def test_a_crash_shows_what_recovery_makes_of_it(at: At) -> None:
    browser = at("#format-crash")
    browser.press("b")
    assert "1 breaks the contract" in browser.text("#crash-sum")
    assert "activation fails: EINVAL" in browser.text("#recovered")
    labels = browser.texts("#crashes .what")
    assert [label.split("\u2717")[0].split("\u2713")[0].strip() for label in labels] == [
        "everything pending is lost",
        "everything pending is kept",
    ]
    browser.press("]")
    assert "\u2713 Allowed" in browser.text("#recovered")
    assert str(MAGIC) not in browser.text("#cache")
    browser.press("[")
    assert "\u2717 Breaks" in browser.text("#recovered")


def test_a_finding_leads_to_its_page(at: At) -> None:
    browser = at("#format-crash")
    script = "return document.querySelector('#about a').getAttribute('href')"
    assert browser.js(script) == "findings/format-crash.html"
