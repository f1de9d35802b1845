"""The constructor: format, check, refuse; and what it decided."""

import pytest
from builders import (
    device_size,
    devices,
    drive,
    durable_image,
    formatted,
    ios,
    on_disk,
    superblock,
    table_line,
)

from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import (
    Construction,
    construct,
    default_writeback_jobs,
    first_block_of,
)
from writecache_spec.effects import FlushDevice, Log, WriteMetadata
from writecache_spec.events import Device, Resume
from writecache_spec.layout import MAGIC, Superblock
from writecache_spec.profile import PROFILES, Environment
from writecache_spec.state import FREE, State, cache_sector
from writecache_spec.units import U64_MAX, Jiffies

V6 = PROFILES["1.6.0"]


def opened(found: Superblock | None, options: str = "", n_blocks: int = 8) -> Construction:
    return construct(V6, table_line(options), devices(n_blocks), found)


def state_of(construction: Construction) -> State:
    assert isinstance(construction.result, State), construction.result
    return construction.result


def test_a_format_writes_the_magic_last_and_flushes_in_between() -> None:
    made = opened(Superblock(pad=7, n_blocks=3, seq_count=9, reserved=(1, 2, 3, 4)))
    first, flush, second, flush_again = made.effects
    assert ios(made.effects) == [
        ("regions", 0, 1),
        ("flush", "cache"),
        ("regions", 0, 1),
        ("flush", "cache"),
    ]
    assert flush == flush_again == FlushDevice(Device.CACHE)
    assert isinstance(first, WriteMetadata)
    assert isinstance(second, WriteMetadata)
    assert first.metadata.superblock == superblock(8)._replace(magic=0)
    assert second.metadata.superblock == superblock(8)
    assert list(first.metadata.entries) == list(second.metadata.entries) == [FREE] * 8


def test_a_format_of_two_regions_writes_the_first_one_twice() -> None:
    n_blocks = 4093
    made = opened(Superblock(), n_blocks=n_blocks)
    metadata_sectors = (64 + 16 * n_blocks + 511) // 512
    assert metadata_sectors == 129
    assert ios(made.effects) == [
        ("regions", 0, 129),
        ("flush", "cache"),
        ("regions", 0, 128),
        ("flush", "cache"),
    ]


@pytest.mark.parametrize("number", range(4))
def test_an_error_of_a_format_is_sticky(number: int) -> None:
    made = construct(V6, table_line(), devices(8), Superblock(), frozenset({number}))
    assert state_of(made).error
    logs = [effect.text for effect in made.effects if isinstance(effect, Log)]
    assert logs == [f"error {'flushing' if number % 2 else 'writing'} metadata"]


def test_a_formatted_device_is_opened_and_not_formatted_again() -> None:
    wc = formatted()
    again = opened(wc.superblock)
    assert again.effects == ()
    assert state_of(again) == wc
    assert durable_image(wc)[:4] == MAGIC.to_bytes(4, "little")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Superblock(magic=0, version=1), "Invalid magic in the superblock"),
        (Superblock(magic=5), "Invalid magic in the superblock"),
        (superblock(8)._replace(version=0), "Invalid version in the superblock"),
        (superblock(8, block_size=1024), "Block size does not match superblock"),
        (superblock(2**60), "Overflow in size calculation"),
        (superblock(9), "Memory area is too small"),
    ],
)
def test_a_wrong_superblock_is_refused_and_never_mended(found: Superblock, message: str) -> None:
    assert opened(found) == Construction(Refusal("EINVAL", message))


def test_a_superblock_without_blocks_ends_as_no_memory() -> None:
    assert opened(superblock(0)) == Construction(Refusal("ENOMEM", "Cannot allocate memory"))


def test_an_unreadable_superblock_is_refused() -> None:
    refusal = Refusal("EIO", "Unable to read first block of metadata")
    assert opened(None) == Construction(refusal)


@pytest.mark.parametrize(
    ("size", "errno"),
    [(1023, "ENOSPC"), (2**60, "EFBIG"), (528 * 2**44, "EFBIG")],
)
def test_a_device_of_an_impossible_size_is_refused(size: int, errno: str) -> None:
    known = {"CACHE": BlockDevice(size), "ORIGIN": BlockDevice(512)}
    made = construct(V6, table_line(), known, None)
    assert made == Construction(Refusal(errno, "Invalid device size"))


def test_a_refused_line_constructs_nothing() -> None:
    made = construct(V6, "s ORIGIN", devices(8), Superblock())
    assert made == Construction(Refusal("EINVAL", "Bad arguments"))
    assert first_block_of(V6, "s ORIGIN", devices(8)) is None


def test_metadata_begins_where_the_line_says() -> None:
    line = table_line("start_sector 24")
    known = devices(8, start_sector=24)
    assert first_block_of(V6, line, known) == range(24, 25)
    assert first_block_of(V6, table_line(), known) == range(1)
    wc = state_of(construct(V6, line, known, Superblock()))
    assert (wc.config.start_sector, wc.config.metadata_sectors, wc.config.n_blocks) == (24, 1, 8)
    assert [cache_sector(wc.config, index) for index in (0, 7)] == [25, 32]


def test_a_cache_may_have_fewer_blocks_than_would_fit() -> None:
    wc = state_of(opened(superblock(3)))
    assert (wc.config.n_blocks, len(wc.entries), wc.config.metadata_sectors) == (3, 3, 1)
    wide = construct(V6, table_line(), {**devices(100)}, superblock(3))
    assert state_of(wide).config.data_start == 1


def test_defaults_are_the_kernels() -> None:
    config = formatted().config
    assert config.autocommit_blocks == 65536
    assert config.autocommit_jiffies == 100
    assert config.max_age == U64_MAX
    assert config.pause == 300
    assert config.max_writeback_jobs == default_writeback_jobs(V6) == 62000 // 16
    old = formatted(profile="1.4.0").config
    assert (old.pause, old.max_writeback_jobs) == (0, 0)
    rich = V6._replace(environment=Environment(total_ram_pages=2**30))
    assert default_writeback_jobs(rich) == 65536


def test_options_decide_the_configuration() -> None:
    wc = formatted(
        "high_watermark 90 low_watermark 10 writeback_jobs 3 autocommit_blocks 4 "
        "autocommit_time 55 max_age 1000 metadata_only pause_writeback 5",
        n_blocks=100,
    )
    assert wc.config.metadata_only
    assert wc.config[8:13] == (4, Jiffies(6), Jiffies(100), 3, Jiffies(1))
    assert (wc.freelist_high_watermark, wc.freelist_low_watermark) == (10, 90)
    assert not wc.cleaner


def test_a_cleaner_wants_every_block_free() -> None:
    wc = formatted("cleaner")
    assert wc.cleaner
    assert wc.flush_on_suspend
    assert (wc.freelist_high_watermark, wc.freelist_low_watermark) == (8, 8)


def test_a_new_cache_can_be_resumed_and_only_that() -> None:
    wc = formatted()
    assert wc.suspended
    assert wc.poisoned
    wc = drive(wc, Resume((wc.superblock, on_disk(*[None] * 8)), 4096))
    assert len(wc.freelist) == 8
    assert device_size(8) == 9 * 512
