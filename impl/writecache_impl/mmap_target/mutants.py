"""Mistakes planted in the engine, each of which the crash judgement has to find.

python -m writecache_impl.mmap_target.mutants [--seconds S]
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from writecache_impl.engine import (
    clients,
    commit,
    construct,
    entries,
    recovery,
    requests,
    requests_pmem,
    writeback,
)
from writecache_impl.engine.state import Cache
from writecache_impl.mmap_target.crashes import judge
from writecache_impl.mmap_target.stories import draw
from writecache_spec.layout import Superblock

Patch = tuple[object, str, object]
"""Of what, which attribute, and what it is instead."""


def _nothing(*_: object, **__: object) -> None:
    """Does nothing."""


def _true(*_: object) -> bool:
    return True


def _without_flush(wc: Cache) -> None:
    """Writes the metadata, and does not wait for it to be durable."""
    flush, wc.cache.flush = wc.cache.flush, _nothing  # type: ignore[method-assign]
    try:
        _write_metadata(wc)
    finally:
        wc.cache.flush = flush  # type: ignore[method-assign]


def _superblock_first(wc: Cache) -> None:
    """Raises the count before the entries are on the device."""
    if wc.dirty and not wc.config.pmem_mode and list(commit.uncommitted_entries(wc)):
        count = wc.seq_count
        _raise_seq_count(wc)
        wc.seq_count = count
    _write_metadata(wc)


def _older_wins(
    sectors: Any, seq_counts: Any, committed: Iterable[int], met: dict[int, int],
    lost: list[tuple[int, int]], identical: list[str],
) -> None:  # fmt: skip
    """Of two entries the lesser count wins."""
    for index in committed:
        old = met.setdefault(sectors[index], index)
        if old == index:
            continue
        if seq_counts[old] < seq_counts[index]:
            lost.append((index, index))
        else:
            lost.append((index, old))
            met[sectors[index]] = index


def _keeps_damage(wc: Cache) -> None:
    """Commits blocks that no write has reached, and two entries with one count."""


def _end_first(wc: Cache, runs: Any, flushed: bool) -> None:
    """Frees what is home, and tells the device nothing."""
    dirty = set(wc.dirty)
    write, commit.write_metadata = commit.write_metadata, _nothing
    try:
        _end(wc, runs, flushed)
    finally:
        commit.write_metadata = write
        wc.dirty = dirty


def _forgets_committed(wc: Cache) -> None:
    """Never remembers that committed blocks were overwritten in place."""
    wc.overwrote_committed = False
    _flush(wc)


def _resume_without_erasing(self: entries.Entries, seq_count: int) -> recovery.Found:
    found = _scan(self, seq_count)
    return found._replace(erased=())


def _count_wraps_early(wc: Cache) -> None:
    """Commits in the middle of what is committed: the entry of the newest block stays behind."""
    newest = wc.entries.to_older[wc.entries.n_blocks]
    _raise_seq_count(wc)
    if newest != wc.entries.n_blocks and not wc.config.pmem_mode:
        wc.entries.seq_counts[newest] = wc.seq_count


def _overwrites_in_progress(wc: Cache, sector: int, data: memoryview, alone: bool = False) -> Any:
    """Overwrites a block in place while it is being copied."""
    index = wc.entries.find(sector)
    if index >= 0 and wc.entries.state[index] == entries.IN_PROGRESS:
        wc.entries.state[index] = entries.UNLISTED
        try:
            return _map_write(wc, sector, data, alone)
        finally:
            wc.entries.state[index] = entries.IN_PROGRESS
    return _map_write(wc, sector, data, alone)


def _commit_only(self: clients.Clients) -> bool:
    with self.lock:
        return requests.map_flush(self._live())


def _format_version_first(named: Any, size: Any, kind: Any, block: bytes) -> Any:
    """Writes the version before the magic, as Linux does."""
    wc = construct._new(named, size, Superblock(version=1), kind)
    named.cache.write(named.start, bytes(wc.metadata[: named.arguments.block_size]))
    return _format(named, size, kind, block)


_format = construct._format
_write_metadata = commit.write_metadata
_raise_seq_count = commit.raise_seq_count
_flush = commit.flush
_end = writeback.end
_map_write = requests.map_write
_scan = construct.FASTEST.scan

MUTANTS: Final[dict[str, list[Patch]]] = {
    "commit-without-flush": [(commit, "write_metadata", _without_flush)],
    "superblock-before-entries": [(commit, "write_metadata", _superblock_first)],
    "older-duplicate-wins": [
        (module, "decide", _older_wins)
        for module in (recovery, sys.modules[construct.FASTEST.__module__])
        if hasattr(module, "decide")
    ],
    "two-entries-in-one-commit": [(commit, "drop_superseded", _keeps_damage)],
    "home-without-origin-flush": [(writeback, "flush_origin", _true)],
    "freed-without-telling": [(writeback, "end", _end_first)],
    "fua-not-committed": [
        (clients, "commit", SimpleNamespace(flush=_nothing, must_stop=commit.must_stop)),
        (requests_pmem, "commit", SimpleNamespace(flush=_nothing, must_stop=commit.must_stop)),
    ],
    "flush-misses-the-origin": [(clients.Clients, "_flush", _commit_only)],
    "flush-forgets-overwritten": [(commit, "flush", _forgets_committed)],
    "overwrites-under-writeback": [(clients, "map_write", _overwrites_in_progress)],
    "resume-without-erasing": [(construct.FASTEST, "scan", _resume_without_erasing)],
    "format-version-first": [(construct, "_format", _format_version_first)],
    "newest-left-behind": [(commit, "raise_seq_count", _count_wraps_early)],
    "discard-without-commit": [
        (requests, "commit", SimpleNamespace(write_metadata=_nothing, flush=_flush))
    ],
}
"""By name."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """An engine with a mistake; everything is as it was after the block."""
    patches = MUTANTS[name]
    before = [(owner, attribute, getattr(owner, attribute)) for owner, attribute, _ in patches]
    for owner, attribute, mistake in patches:
        setattr(owner, attribute, mistake)
    try:
        yield
    finally:
        for owner, attribute, right in before:
            setattr(owner, attribute, right)


def hunt(name: str, seconds: float, seed: str = "mutant") -> str | None:
    """Look for a mistake; how it showed, or None."""
    ends = time.monotonic() + seconds
    number = 0
    with planted(name):
        while time.monotonic() < ends:
            found = judge(draw(f"{seed}-{number}"), 30, 12).violations
            if found:
                return f"story {seed}-{number}: {found[0]}"
            number += 1
    return None


def main() -> int:
    """Hunt every mutant; 1 where one survives."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    survivors = 0
    for name in MUTANTS:
        begun = time.monotonic()
        found = hunt(name, seconds)
        survivors += found is None
        print(f"{name}: {found or 'SURVIVES'} ({time.monotonic() - begun:.1f} s)", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
