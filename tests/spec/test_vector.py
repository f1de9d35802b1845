"""The persistent vector is a list of fixed length, and never forgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.vector import FAN_OUT, Vector

LENGTHS = st.sampled_from((0, 1, 31, 32, 33, 100, 1024, 1025, 2100))


@given(LENGTHS, st.lists(st.tuples(st.integers(0, 2099), st.integers()), max_size=30))
def test_vector_is_a_list_of_fixed_length(length: int, changes: list[tuple[int, int]]) -> None:
    expected = list(range(length))
    vector = Vector(expected)
    versions = [(vector, list(expected))]
    for index, item in changes:
        if index < length:
            vector = vector.set(index, item)
            expected[index] = item
            versions.append((vector, list(expected)))
    for version, items in versions:
        assert list(version) == items
        assert len(version) == length
        assert [version[i] for i in range(0, length, 7)] == items[::7]
        assert [item for leaf in version.leaves() for item in leaf] == items
    assert vector == Vector(expected)
    assert hash(vector) == hash(Vector(expected))


@given(LENGTHS, st.lists(st.integers(0, 2099), max_size=12), st.integers(0, 60), st.integers(0, 66))
def test_leaves_not_named_as_changed_are_equal(
    length: int, indices: list[int], first: int, last: int
) -> None:
    old = Vector(range(length))
    new = old
    for index in indices:
        if index < length:
            new = new.set(index, -1)
    leaves = list(new.leaves())
    within = range(min(first, len(leaves)), min(last, len(leaves)))
    changed = dict(new.changed_leaves(old, first, last))
    assert all(leaves[number] == leaf for number, leaf in changed.items())
    old_leaves = list(old.leaves())
    assert all(leaves[i] == old_leaves[i] for i in within if i not in changed)
    touched = {i // FAN_OUT for i in indices if i < length}
    assert {number for number in changed if number in within} == touched & set(within)
    everything = dict(new.changed_leaves(None, first, last))
    assert set(within) <= set(everything)


def test_a_vector_shares_all_but_one_path() -> None:
    old = Vector(range(5000))
    new = old.set(70, -1)
    kept = [a is b for a, b in zip(old.leaves(), new.leaves(), strict=True)]
    assert kept.count(False) == 1
    assert list(old) == list(range(5000))


@pytest.mark.parametrize("index", [-1, 40, 2**40])
def test_an_index_outside_is_refused(index: int) -> None:
    vector = Vector(range(40))
    with pytest.raises(IndexError):
        vector[index]
    with pytest.raises(IndexError):
        vector.set(index, 0)


def test_equality_is_that_of_the_items() -> None:
    assert Vector([1, 2]) == Vector([1, 2])
    assert Vector([1, 2]) != Vector([1, 3])
    assert Vector([1, 2]).__eq__([1, 2]) is NotImplemented
    assert repr(Vector([1, 2])) == "Vector([1, 2])"
    assert repr(Vector(range(9))).endswith("7, …])")
