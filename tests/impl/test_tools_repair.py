"""`writecache repair`: what comes out is taken by the reference, and what went is named."""

import random
from pathlib import Path
from typing import Any

import pytest
from caches import FREE, Pair, cache, origin, random_entries, write
from commands import command

from writecache_spec.codec import SUPERBLOCK_FIELDS

ENTRIES = [(0, 3), (8, 4), FREE, (16, 9)]


def with_field(image: bytes, field: str, value: int) -> bytes:
    start, end = SUPERBLOCK_FIELDS[field]
    return image[:start] + value.to_bytes(end - start, "little") + image[end:]


def repaired(tmp_path: Path, image: bytes, *arguments: object, code: int = 0) -> Any:
    """Repair, check the output, take it back, and the JSON."""
    path = write(tmp_path / "c", image)
    out = tmp_path / "out"
    done = command("repair", path, "-o", out, "--json", "--force", *arguments)
    assert (done.code, done.err) == (code, "")
    assert path.read_bytes() == image
    checked = command("check", out, "--json").json
    assert checked["activation"]["accepted"]
    assert not checked["activation"]["error"]
    assert checked["activation"]["erased"] == 0
    mended = out.read_bytes()
    assert command("undo", done.json["undo_log"]).code == 0
    assert out.read_bytes() == image
    out.write_bytes(mended)
    return done.json


def test_a_sound_cache_stays_as_it_is(tmp_path: Path) -> None:
    found = repaired(tmp_path, cache(ENTRIES))
    assert (found["superblock_fields"], found["n_dropped"]) == ([], 0)
    assert (tmp_path / "out").read_bytes() == cache(ENTRIES)


@pytest.mark.parametrize(
    ("field", "value"), [("magic", 0), ("magic", 9), ("version", 0), ("version", 7)]
)
def test_magic_and_version_tell_nothing_and_are_mended(
    tmp_path: Path, field: str, value: int
) -> None:
    found = repaired(tmp_path, with_field(cache(ENTRIES), field, value))
    assert found["superblock_fields"] == [field]
    assert (tmp_path / "out").read_bytes() == cache(ENTRIES)


def test_a_block_size_is_found_if_only_one_makes_as_many_blocks(tmp_path: Path) -> None:
    image = cache([(0, 3)] + 62 * [FREE], block_size=4096)
    assert repaired(tmp_path, with_field(image, "block_size", 0))["superblock_fields"] == [
        "block_size"
    ]
    assert (tmp_path / "out").read_bytes() == image


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("block_size", 0, ["--block-size", "512"]),
        ("n_blocks", 0, ["--n-blocks", 4]),
        ("n_blocks", 2**60, ["--n-blocks", 4]),
        ("n_blocks", 5, ["--n-blocks", 4]),
    ],
)
def test_what_cannot_be_told_is_asked_for(
    tmp_path: Path, field: str, value: int, option: list[object]
) -> None:
    whole = cache(ENTRIES, tail=bytes(2048))
    image = with_field(whole, field, value) if field != "n_blocks" else with_field(
        cache(ENTRIES), field, value
    )  # fmt: skip
    path = write(tmp_path / "c", image)
    refused = command("repair", path, "-o", tmp_path / "out")
    assert refused.is_refusal(1)
    assert str(option[0]) in refused.err
    assert not (tmp_path / "out").exists()
    assert repaired(tmp_path, image, *option)["superblock_fields"] == [field]


def test_a_wiped_superblock_needs_all_of_it(tmp_path: Path) -> None:
    image = bytes(64) + cache(ENTRIES)[64:]
    path = write(tmp_path / "c", image)
    some = ["--block-size", 512, "--n-blocks", 4]
    assert command("repair", path, "-o", tmp_path / "out").is_refusal(1)
    refused = command("repair", path, "-o", tmp_path / "out", *some)
    assert "--seq-count" in refused.err
    repaired(tmp_path, image, *some, "--seq-count", 10)
    assert (tmp_path / "out").read_bytes() == cache(ENTRIES)


def test_entries_that_mislead_are_freed_and_named(tmp_path: Path) -> None:
    entries = [(0, 3), (0, 4), (8, 10), (16, 5), (16, 5), (24, 1), (24, 1), (24, 2)]
    found = repaired(tmp_path, cache(entries), code=1)
    named = {one["block"]: one["why"] for one in found["dropped"]}
    assert sorted(named) == [0, 2, 3, 5, 6]
    assert "other data" in named[3]
    same = repaired(tmp_path, cache(entries, data=[b"s" * 512] * 8))
    assert sorted(one["block"] for one in same["dropped"]) == [0, 2, 3, 5, 6]


def test_damage_is_dropped_and_is_a_loss(tmp_path: Path) -> None:
    image = cache([(0, 3), (3, 3), (800, 3)], block_size=4096)
    found = repaired(tmp_path, image, code=1)
    assert [(one["block"], one["sector"]) for one in found["dropped"]] == [(1, 3)]
    slow = write(tmp_path / "o", origin(64))
    assert repaired(tmp_path, image, "--origin", slow, code=1)["n_dropped"] == 1
    found = repaired(tmp_path, image, "--origin", slow, "--drop-beyond", code=1)
    assert found["n_dropped"] == 2


def test_what_was_not_rescued_is_dropped(tmp_path: Path) -> None:
    image = cache(ENTRIES)
    text = "0 ? 1\n0 96 +\n96 16 -\n112 1000 +\n1112 1 -\n1113 9999 +\n"
    mapped = write(tmp_path / "m", text.encode())
    found = repaired(tmp_path, image, "--map", mapped, code=1)
    assert {one["block"]: one["sector"] for one in found["dropped"]} == {1: 8, 2: None}


@pytest.mark.parametrize("seed", range(12))
def test_any_entries_become_a_cache_without_error(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    entries: list[Pair] = random_entries(rng, 30, (0, 1, 8, 16, 2**60), (1, 2, 3, 10, 2**64 - 1))
    image = write(tmp_path / "c", cache(entries, block_size=1024))
    code = command("repair", image, "-o", tmp_path / "out", "-q").code
    assert code in (0, 1)
    checked = command("check", tmp_path / "out", "--json")
    assert checked.code == 0
    assert command("undo", tmp_path / "out.undo").code == 0
    assert (tmp_path / "out").read_bytes() == image.read_bytes()


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "c", cache(ENTRIES))
    for name in ("out", "out.undo"):
        kept = write(tmp_path / name, b"kept")
        assert command("repair", path, "-o", tmp_path / "out").is_refusal()
        assert kept.read_bytes() == b"kept"
        kept.unlink()
    assert command("repair", path, "-o", path, "--force").is_refusal()
    assert command("repair", path, "-o", tmp_path / "x", "--undo-log", path, "--force").is_refusal()
    same = tmp_path / "x"
    assert command("repair", path, "-o", same, "--undo-log", same, "--force").is_refusal()
    assert path.read_bytes() == cache(ENTRIES)
