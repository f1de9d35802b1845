"""Worlds that differ only in what makes no difference have the same future."""

from typing import Any

import pytest
from tests.models.test_exploring import AtOnce

from writecache_models import alike, canonical, expanding
from writecache_models.exploring import Progress, explore
from writecache_models.release import bound
from writecache_models.world import World

SMALL: dict[str, Any] = {"blocks": 1, "entries": 2, "block_size": 512}


def found(**of: Any) -> Progress:
    progress = Progress.at_first(bound(**of))
    explore(progress, AtOnce(), 1, lambda _: True)
    return progress


def unmerged(monkeypatch: pytest.MonkeyPatch, **of: Any) -> Progress:
    """The same with every world kept as it is, counted with what was begun and when."""
    with monkeypatch.context() as patched:
        patched.setattr(expanding, "plain", lambda world: world)
        whole = canonical._Key.whole
        patched.setattr(
            canonical._Key,
            "whole",
            lambda key: (*whole(key), key.world.n_begun, key.world.contract._now),
        )
        return found(**of)


@pytest.mark.parametrize(
    "of",
    [
        SMALL | {"n_ops": 3},
        SMALL | {"n_ops": 3, "repaired": False},
        SMALL | {"n_ops": 2, "failures": 1},
        SMALL | {"n_ops": 2, "n_clients": 2},
        SMALL | {"blocks": 2, "n_ops": 2},
        SMALL | {"n_ops": 2, "goes_on": True},
    ],
    ids=["repaired", "faithful", "failing", "clients", "blocks", "after crashes"],
)
def test_the_same_is_met_and_found_as_without_merging(
    of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    merged, whole = found(**of), unmerged(monkeypatch, **of)
    assert merged.named == whole.named
    assert set(merged.counts) == set(whole.counts)
    assert merged.n_worlds < whole.n_worlds


def test_merging_what_does_matter_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing could ever be read from the origin again."""
    whole = unmerged(monkeypatch, **SMALL, n_ops=3)

    def only_cache(world: World) -> set[Any]:
        return {one for one in world.cache.latest() if isinstance(one, int)}

    monkeypatch.setattr(alike, "alive_in", only_cache)
    merged = found(**SMALL, n_ops=3)
    assert merged.counts or merged.named != whole.named


def test_a_cache_of_two_blocks_is_explored_for_histories_of_any_length() -> None:
    closed = found(**SMALL | {"entries": 2, "watermark": 100}, n_ops=10**6)
    assert closed.closed
    assert closed.layers[-1] == 0
    assert not closed.counts
    assert not found(**SMALL, n_ops=2).closed


def test_after_a_crash_it_goes_on() -> None:
    """A world is activated that a crash has left, and written to; what it held is known then."""
    once = found(**SMALL, n_ops=1)
    more = found(**SMALL, n_ops=2, goes_on=True)
    assert not more.counts
    assert once.named < more.named
    paths = [more.path(number) for number in more.seen]
    assert any([event[0] for event in path][-3:] == ["crash", "open", "begin"] for path in paths)
