"""What is generated agrees with what the reference does, and a planted change shows."""

import re
import shlex

import pytest

from writecache_docs import (
    commands,
    findings,
    layout,
    lifecycle,
    prefixes,
    prefixes_memory,
    proofs,
    protocol,
    reach,
    source,
    timeline,
    versions,
)
from writecache_docs.watching import Data
from writecache_models.finding import Finding
from writecache_models.findings import FINDINGS
from writecache_proofs.catalogue import theorems
from writecache_spec import codec, effects, events
from writecache_spec.effects import Fence, StoreSuperblock, WriteMetadata
from writecache_spec.layout import MemoryEntry, Superblock
from writecache_spec.profile import PROFILES


def test_every_event_and_effect_is_in_its_table() -> None:
    assert source.members("events", "Event") == tuple(one.__name__ for one in events.Event.__args__)
    assert source.members("effects", "Effect") == tuple(
        one.__name__ for one in effects.Effect.__args__
    )
    for name in source.members("events", "Event"):
        assert f"| `{name}` |" in protocol.events_table()
    for name in source.members("effects", "Effect"):
        assert f"| `{name}` |" in protocol.effects_table()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("state", name) for name in ("State", "Entry", "Config", "Stats")),
        *(("profile", name) for name in ("Profile", "Environment")),
        *(("layout", name) for name in ("Superblock", "MemoryEntry")),
    ],
)
def test_every_field_that_is_shown_says_what_it_is(module: str, name: str) -> None:
    fields = source.classes(module)[name].fields
    assert fields
    assert [field.name for field in fields if not field.words] == []


def test_what_the_reference_does_is_what_the_table_allows() -> None:
    n_seen = 0
    for scenarios in prefixes.SCENARIOS.values():
        for scenario in scenarios:
            for row in prefixes.rows(scenario):
                if row.seen is None or not row.seen.event or isinstance(row.seen.effect, Data):
                    continue
                n_seen += 1
                assert type(row.seen.effect).__name__ in reach.effects_of(row.seen.event)
    assert n_seen > 30


def test_an_effect_that_the_table_lacks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reach.effects_of
    monkeypatch.setattr(
        reach, "effects_of", lambda event: [one for one in whole(event) if one != "WriteMetadata"]
    )
    with pytest.raises(AssertionError):
        test_what_the_reference_does_is_what_the_table_allows()


def test_fields_lie_where_the_codec_puts_them() -> None:
    for name, (first, end) in codec.SUPERBLOCK_FIELDS.items():
        value: object = (2**64 - 1,) * 4 if name == "reserved" else 2 ** (8 * (end - first)) - 1
        encoded = codec.encode_superblock(Superblock()._replace(**{name: value}))
        assert encoded == bytes(first) + b"\xff" * (end - first) + bytes(64 - end)
    for name, (first, end) in layout.ENTRY_FIELDS.items():
        entry = MemoryEntry(*(0, 0))._replace(**{name: 2**64 - 1})  # type: ignore[arg-type]
        encoded = codec.encode_entries([entry])
        assert encoded == bytes(first) + b"\xff" * (end - first) + bytes(16 - end)


def test_a_field_that_moves_moves_in_table_and_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout.superblock_table(), layout.superblock_figure()
    moved = {**codec.SUPERBLOCK_FIELDS, "pad": (4, 8), "version": (12, 16)}
    monkeypatch.setattr(layout, "SUPERBLOCK_FIELDS", moved)
    assert layout.superblock_table() != before[0]
    assert layout.superblock_figure() != before[1]
    del moved["pad"]
    with pytest.raises(AssertionError, match="other fields"):
        layout.superblock_table()


def test_the_dump_is_what_the_kernel_had(monkeypatch: pytest.MonkeyPatch) -> None:
    trace, data = layout.recorded_cache()
    assert trace.kernel == "7.2.7"
    assert codec.decode_superblock(data).n_blocks == 8
    monkeypatch.setattr(layout, "observe", lambda *_: {"cache": "0" * 16})
    with pytest.raises(layout.DumpError, match="was recorded"):
        layout.recorded_cache()


def test_in_persistent_memory_a_commit_point_is_a_fenced_store() -> None:
    for scenario in prefixes_memory.SCENARIOS["commit"]:
        rows = prefixes_memory.rows(scenario)
        (point,) = [
            number for number, row in enumerate(rows) if isinstance(row.effect, StoreSuperblock)
        ]
        assert isinstance(rows[point + 1].effect, Fence)
        assert [row.found for row in rows[:point]] == [["old"]] * point
        assert rows[point].found == ["new", "old"]
        assert all(row.found == ["new"] for row in rows[point + 1 :])
        for row in rows[1:]:
            assert type(row.effect).__name__ in reach.effects_of(row.event)


def test_recovery_can_crash_anywhere_and_finds_the_same() -> None:
    (recovery,) = prefixes.SCENARIOS["resume"]
    rows = prefixes.rows(recovery)
    assert any(row.seen is not None and isinstance(row.seen.effect, WriteMetadata) for row in rows)
    assert len({tuple(row.found) for row in rows}) == 1


def test_a_commit_point_is_where_the_table_says() -> None:
    flush = prefixes.SCENARIOS["commit"][0]
    rows = prefixes.rows(flush)
    (point,) = [
        number
        for number, row in enumerate(rows)
        if row.seen is not None and getattr(row.seen.effect, "fua", False)
    ]
    assert all(row.found == ["old"] for row in rows[:point])
    assert all(row.found == ["new"] for row in rows[point:])


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda one: one.name)
def test_a_picture_has_a_line_for_each_step_and_ends_with_what_is_wrong(
    finding: Finding,
) -> None:
    lines = timeline.lines_of(finding)
    assert lines[0].label.startswith("open")
    assert re.search("read|panic|fails|never|activation", lines[-1].label), lines[-1]
    drawn = timeline.draw(finding.name, lines)
    assert drawn.count("\n") == 0
    assert drawn.count("<rect") >= sum(len(line.blocks) for line in lines)


def test_a_page_with_its_picture_has_all_that_the_written_one_has() -> None:
    for finding in FINDINGS:
        written = (findings.PAGES / f"{finding.name}.md").read_text()
        made = findings.page(finding, written)
        assert "<figure" in made
        assert [line for line in made.splitlines() if line.startswith("#")] == [
            line for line in written.splitlines() if line.startswith("#")
        ]
        assert set(written.splitlines()) <= set(made.splitlines())


def test_a_page_without_a_place_for_its_picture_is_refused() -> None:
    with pytest.raises(findings.PageError, match="Smallest trace"):
        findings.page(FINDINGS[0], "# A page\n")


def test_blocks_and_phases_change_as_the_protocol_says() -> None:
    n_operations, blocks, phases = lifecycle.seen()
    assert n_operations > 1000
    assert blocks["free", "uncommitted"] == {"Map"}
    assert blocks["writeback", "free"] == {"EndioThread"}
    assert ("free", "committed") not in blocks
    assert ("committed", "uncommitted") not in blocks
    assert phases["not running", "SUBMIT"] == {"WritebackWork"}
    assert "`EndioThread`" in lifecycle.blocks_matrix()


def test_every_theorem_is_stated() -> None:
    text = proofs.statements()
    for theorem in theorems():
        assert theorem.name.replace("_", " ") in text
    assert len(theorems()) > 50


def test_a_property_in_which_profiles_differ_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`flush_bios`" in versions.differences()
    assert "`has_pause`" not in versions.common()
    for name, profile in list(PROFILES.items()):
        monkeypatch.setitem(PROFILES, name, profile._replace(flush_bios=3))
    assert "`flush_bios`" not in versions.differences()
    assert "`flush_bios`" in versions.common()


def test_every_command_has_an_example_and_a_page() -> None:
    pages = commands.pages()
    assert len(pages) > 20
    for command in commands.commands():
        assert command.examples, f"{command.line} has no example"
        assert any(command.line in example for example in command.examples)
        page = pages[f"tools/{command.name}.md"]
        for parameter in command.click.params:
            if parameter.param_type_name == "option":
                assert parameter.opts[0] in page


def test_every_example_is_a_line_that_the_program_takes() -> None:
    n_lines = 0
    for command in commands.commands():
        for example in command.examples:
            for line in example.split("|"):
                words = shlex.split(line)
                known = [
                    one
                    for one in commands.commands()
                    if tuple(words[: len(one.words)]) == one.words
                ]
                if words[0] != "writecache":
                    continue
                (named,) = known
                n_lines += 1
                named.click.make_parser(named.context).parse_args(words[len(named.words) :])
    assert n_lines > 30


def test_an_example_is_found_in_both_of_its_forms() -> None:
    def one(text: str) -> list[str]:
        command = commands.commands()[0]
        command.click.help = text
        return command.examples

    known = commands.commands()[0].click.help
    try:
        assert one("Do.\n\nExample: writecache x") == ["writecache x"]
        assert one("Do.\n\n\b\nExamples:\n  writecache x\n  y") == ["writecache x", "y"]
        assert one("Do nothing.") == []
    finally:
        commands.commands()[0].click.help = known
