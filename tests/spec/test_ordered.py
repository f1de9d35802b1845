"""The persistent ordered map is a dictionary with an order, and never forgets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.ordered import FAN_OUT, OrderedMap

KEYS = st.integers(-5, 400)
OPERATIONS = st.lists(st.tuples(st.sampled_from(("set", "remove", "drain")), KEYS), max_size=60)


def as_dict(ordered: OrderedMap[int]) -> dict[int, int]:
    return dict(ordered.items())


def agrees(ordered: OrderedMap[int], expected: dict[int, int]) -> bool:
    keys = sorted(expected)
    return (
        list(ordered.items()) == [(key, expected[key]) for key in keys]
        and list(ordered.reversed_items()) == [(key, expected[key]) for key in reversed(keys)]
        and list(ordered) == keys
        and len(ordered) == len(keys)
        and ordered.first() == ((keys[0], expected[keys[0]]) if keys else None)
        and ordered.last() == ((keys[-1], expected[keys[-1]]) if keys else None)
    )


def agrees_at(ordered: OrderedMap[int], expected: dict[int, int], key: int) -> bool:
    later = [other for other in expected if other >= key]
    earlier = [other for other in expected if other < key]
    return (
        ordered.get(key) == expected.get(key)
        and (key in ordered) == (key in expected)
        and ordered.at_or_after(key) == ((min(later), expected[min(later)]) if later else None)
        and ordered.before(key) == ((max(earlier), expected[max(earlier)]) if earlier else None)
    )


@given(st.integers(0, 380), st.integers(1, 3), OPERATIONS, KEYS)
def test_ordered_map_is_a_dictionary_in_order(
    size: int, stride: int, operations: list[tuple[str, int]], probe: int
) -> None:
    expected = {key * stride: key for key in range(size)}
    ordered = OrderedMap(expected.items())
    versions = [(ordered, dict(expected))]
    for number, (name, key) in enumerate(operations):
        if name == "set":
            ordered, expected = ordered.set(key, number), {**expected, key: number}
        elif name == "remove" and key in expected:
            ordered = ordered.remove(key)
            del expected[key]
        elif name == "drain":
            for other in [other for other in expected if key <= other < key + 40]:
                ordered = ordered.remove(other)
                del expected[other]
        ordered.check()
        assert agrees_at(ordered, expected, key)
        assert agrees_at(ordered, expected, probe)
        versions.append((ordered, dict(expected)))
    assert all(agrees(*version) for version in versions)


def test_a_change_leaves_the_old_version_as_it_was() -> None:
    old = OrderedMap((key, key) for key in range(2000))
    new = old.set(700, -1).remove(3)
    assert as_dict(old) == {key: key for key in range(2000)}
    assert as_dict(new) == {**{key: key for key in range(2000) if key != 3}, 700: -1}


def test_keys_inserted_in_any_order_come_out_sorted() -> None:
    ordered: OrderedMap[int] = OrderedMap()
    for key in range(0, 5000 * 7, 7):
        ordered = ordered.set(key * 2731 % 35000, key)
    ordered.check()
    keys = list(ordered)
    assert len(keys) > FAN_OUT**2
    assert all(a < b for a, b in pairwise(keys))
    for key in keys[::-1]:
        ordered = ordered.remove(key)
    ordered.check()
    assert agrees(ordered, {})


def test_a_tall_map_finds_neighbours_across_its_nodes() -> None:
    ordered = OrderedMap((2 * key, key) for key in range(3000))
    for key in range(0, 2990, 3):
        ordered = ordered.remove(2 * key)
    kept = [2 * key for key in range(3000) if key % 3 or key >= 2990]
    ordered.check()
    for low, high in pairwise(kept):
        for probe in (low + 1, high):
            assert ordered.at_or_after(probe) == (high, high // 2)
            assert ordered.before(probe) == (low, low // 2)
    assert ordered.at_or_after(kept[-1] + 1) is None
    assert ordered.before(kept[0]) is None


def test_an_empty_map_has_no_items() -> None:
    ordered: OrderedMap[int] = OrderedMap()
    ordered.check()
    assert agrees(ordered, {})
    assert agrees_at(ordered, {}, 0)
    assert not ordered


def test_removing_what_is_not_there_is_refused() -> None:
    for size in (0, 1, 40, 2000):
        ordered = OrderedMap((2 * key, key) for key in range(size))
        for key in (-1, 1, 2 * size + 1):
            with pytest.raises(KeyError, match=str(key)):
                ordered.remove(key)


@pytest.mark.parametrize("keys", [(1, 1), (2, 1), (*range(30), 29), (*range(24), 5)])
def test_items_out_of_order_are_refused(keys: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strictly increasing"):
        OrderedMap((key, 0) for key in keys)


def test_equality_is_that_of_the_items() -> None:
    grown: OrderedMap[int] = OrderedMap()
    for key in reversed(range(100)):
        grown = grown.set(key, key)
    built = OrderedMap((key, key) for key in range(100))
    assert grown == built == built
    assert hash(grown) == hash(built)
    assert grown != built.set(5, 6)
    assert grown != built.remove(5)
    assert grown.__eq__({}) is NotImplemented


def test_check_finds_a_broken_map() -> None:
    twins = (
        OrderedMap._of(((2, 1), (0, 0)), 0, 2),
        OrderedMap._of(((1, 2), (0, 0)), 0, 3),
        OrderedMap._of((tuple(range(33)), (0,) * 33), 0, 33),
        OrderedMap._of(((0, 7), (((0,), (0,)), ((8,), (0,)))), 1, 2),
        OrderedMap._of(((), ()), 1, 0),
    )
    for twin in twins:
        with pytest.raises(AssertionError):
            twin.check()


def test_representation_is_short() -> None:
    assert repr(OrderedMap([(1, "a")])) == "OrderedMap({1: 'a'})"
    assert repr(OrderedMap((key, 0) for key in range(99))).endswith("7: 0, …})")
