"""`writecache crash` on a live kernel."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from commands import SUITE, command

from writecache_impl.happening import draw, play
from writecache_impl.linux import LinuxTarget
from writecache_impl.linux.content import Content
from writecache_impl.linux.writelog import FLUSH, TraceLogs
from writecache_models.trace import Op
from writecache_spec.events import Device

TARGET = ("crash", "--target", f"kernel:{SUITE}")


def test_one_log_says_whose_each_flush_is() -> None:
    with LinuxTarget(SUITE) as target:
        ops: list[Op] = [["open"], ["write", 0, 8, 1], ["flush"]]
        trace = replace(draw("1", target.target_version), steps=tuple((op, {}) for op in ops))
        happened = play(target, trace)
    devices = {entry.device for one in happened for entry in one.log if entry.flags & FLUSH}
    assert devices == {Device.CACHE, Device.ORIGIN}
    (opened, *_) = happened
    assert opened.op == ["open"]
    assert [entry.device for entry in opened.log] == [Device.CACHE] * 4


def test_what_crashes_leave_is_judged_and_resumed() -> None:
    done = command(*TARGET, "--seconds", 3, "--seed", "crash", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["images"] > found["distinct"] > 500
    assert found["resumed"] > 30
    assert found["flushes"] > 20
    assert (found["unexplained"], found["diverged"]) == ({}, [])
    assert set(found["findings"]) <= {"format-crash", "two-entries-in-one-commit"}


def lose(monkeypatch: pytest.MonkeyPatch, every: bool) -> None:
    """From now on logs lose the cache's flushes, or all."""
    look = TraceLogs.look

    def lossy(self: TraceLogs, disks: Mapping[str, Content]) -> None:
        look(self, disks)
        for name, entries in self.entries.items():
            self.entries[name] = [
                one for one in entries if not (one.flags & FLUSH and (every or one.sector))
            ]

    monkeypatch.setattr(TraceLogs, "look", lossy)


def test_a_kernel_that_loses_flushes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, every=False)
    monkeypatch.setattr("writecache_impl.crashes.IMAGES_OF_A_MOMENT", 3)
    done = command(*TARGET, "--images", 100, "--seconds", 30, "--seed", "1", "--json")
    assert done.code == 1, done.err
    assert done.json["unexplained"]
    assert done.json["examples"][0]["image"]["cache_image"]
    assert "a crash in step" in done.err


def test_logs_without_a_flush_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, every=True)
    done = command(*TARGET, "--seconds", 1, "--seed", "1")
    assert done.code == 3
    assert "nothing is proved" in done.err


def test_what_is_no_kernel_is_refused() -> None:
    for target in ("reference", "kernel:", "sid"):
        assert command("crash", "--target", target).is_refusal()
    assert command("crash", "--target", "kernel:nosuch").code == 2
    assert command("crash").is_refusal()


def test_a_kernel_whose_flushes_cannot_be_told_apart_is_not_judged() -> None:
    done = command("crash", "--target", "kernel:bullseye", "--seconds", 1)
    assert done.code == 3
    assert "does not say whose its flushes are" in done.err


def test_fewer_contents_activated_than_were_wanted_is_not_judged() -> None:
    done = command(*TARGET, "--resume", 2, "--resumed", 1000, "--seconds", 1, "--seed", "1")
    assert done.code == 3
    assert "not 1000" in done.err


def test_every_content_of_a_trace_can_go_back_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("writecache_impl.crashes.IMAGES_OF_A_MOMENT", 2)
    monkeypatch.setattr("writecache_impl.happening.FAMILIES", ("plain",))
    done = command(*TARGET, "--resume", 0, "--resumed", 1, "--seconds", 1, "--seed", "4", "--json")
    assert done.code == 0, done.err
    assert done.json["resumed"] == done.json["distinct"] > 20
