"""The explorer meets everything once, whoever does the work, and can be gone on from."""

import json
import os
import zlib
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from writecache_models import canonical, expanding, release
from writecache_models.exploring import Progress, explore
from writecache_models.packing import pack, unpack
from writecache_models.release import bound, report


class AtOnce(Executor):
    """Does everything when it is asked."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def explored(**of: Any) -> Progress:
    progress = Progress.at_first(bound(**of))
    explore(progress, AtOnce(), 1, lambda _: True)
    assert progress.done
    return progress


SMALL = {"blocks": 2, "entries": 3, "block_size": 512, "n_ops": 2}


def counts(progress: Progress) -> dict[str, Any]:
    return {**report(progress, ""), "seconds": 0, "distinct": 0}


def test_the_counts_are_exact_whoever_does_the_work() -> None:
    one = explored(**SMALL)
    assert one.counts == {}
    assert one.layers == [2, 81, 3277]
    with ProcessPoolExecutor(2) as executor:
        other = Progress.at_first(bound(**SMALL))
        explore(other, executor, 4, lambda _: True)
    assert counts(other) == counts(one)


def test_an_exploration_can_be_cut_kept_and_gone_on_from(tmp_path: Path) -> None:
    whole = explored(**SMALL)
    cut = Progress.at_first(bound(**SMALL))
    explore(cut, AtOnce(), 1, lambda reached: reached.n_worlds < 100)
    assert not cut.done
    cut.save(tmp_path / "kept")
    again = Progress.load(tmp_path / "kept")
    explore(again, AtOnce(), 1, lambda _: True)
    assert counts(again) == counts(whole)
    (tmp_path / "other").write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match="no exploration"):
        Progress.load(tmp_path / "other")
    with pytest.raises(OSError, match="something else"):
        cut.save(tmp_path / "other")
    damaged = bytearray((tmp_path / "kept").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged"):
        Progress.load(tmp_path / "damaged")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="could be replaced"):
        Progress.at_first(bound(**SMALL)).save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


def test_the_faithful_reference_is_found_out_by_a_shortest_path() -> None:
    found = explored(**{**SMALL, "repaired": False, "n_ops": 2, "entries": 4}).found
    assert found["activation fails: Invalid magic in the superblock"].path == (("open",),)
    assert len(found["activation ends with an error"].path) == 9


def test_with_two_clients_there_are_reads_and_fua_writes() -> None:
    ops = bound(n_clients=2, blocks=2, block_size=1024).ops
    assert ("read", 0, 4) in ops
    assert ("write_fua", 0, 2) in ops


def test_the_stored_report_is_of_a_large_run_without_violations() -> None:
    stored = release.stored()
    assert stored is not None
    # All histories of fewer operations than its layer were taken to their ends.
    assert stored["complete"] or stored["layer"] >= 4
    assert stored["violations"] == {}
    assert stored["crash_states"] >= 100_000_000
    assert stored["distinct"] >= 2_000_000
    repairs = {repair.name for repair in release.release_bound().setting.profile.repairs}
    assert set(stored["repairs"]) == repairs


STORED = Path(__file__).parents[2] / "bench/results/explorations"


@pytest.mark.parametrize("file", sorted(STORED.glob("*.json")), ids=lambda file: file.stem)
def test_stored_explorations_begin_as_they_do_today(file: Path) -> None:
    stored = json.loads(file.read_text())
    assert stored["complete"]
    assert sum(stored["layers"]) == stored["worlds"]
    of = {name: stored[name] for name in ("profile", "blocks", "entries", "block_size", "failures")}
    watermark = int(stored["table"].split()[-1]) if "watermark" in stored["table"] else None
    today = explored(
        **of,
        watermark=watermark,
        n_ops=2,
        repaired=bool(stored["repairs"]),
        n_clients=stored["requests_at_once"],
        goes_on=stored["goes_on"],
    )
    assert today.layers == stored["layers"][:3]
    assert today.bound.setting.table == stored["table"]
    assert sorted(one.name for one in today.bound.setting.profile.repairs) == stored["repairs"]
    assert set(today.counts) <= set(stored["violations"])


def test_packed_worlds_are_short_and_come_back_whole() -> None:
    """Those that wait in an exploration."""
    cut = Progress.at_first(bound(**SMALL))
    explore(cut, AtOnce(), 1, lambda reached: reached.n_worlds < 100)
    packed = [one for _, one in (*cut.frontier, *cut.following, *cut.later.items())]
    config = expanding._config(cut.bound)
    worlds = [unpack(one, cut.words, config) for one in packed]
    again = [unpack(pack(world, cut.words), cut.words, config) for world in worlds]
    digests = [canonical.digest(world) for world in worlds]
    assert len(set(digests)) == len(packed) > 100
    assert [canonical.digest(world) for world in again] == digests
    assert sum(map(len, packed)) / len(packed) < 300
    with pytest.raises(zlib.error):
        unpack(packed[-1], b"other words", config)
