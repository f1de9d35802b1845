"""Contracts that CrossHair checks: assertions that hold of the shipped scalar functions.

Each function here states, as assertions, what CrossHair must confirm over all paths.  They are for
`crosshair`; nobody calls them.
"""

from writecache_spec.layout import bitmap_bits, entry_region, freelist_watermark, is_committed
from writecache_spec.ordered import OrderedMap
from writecache_spec.units import (
    U64_MAX,
    bytes_of,
    jiffies_of,
    sectors_of,
    signed32,
    wrap32,
    wrap64,
)
from writecache_spec.vector import Vector


def a_wrapped_number_fits(value: int) -> int:
    """post: 0 <= __return__ < 2**64"""
    return wrap64(value)


def wrapping_twice_is_wrapping_once(value: int) -> bool:
    """post: __return__"""
    return wrap64(wrap64(value)) == wrap64(value) and wrap32(wrap64(value)) == wrap32(value)


def a_signed_number_fits(value: int) -> int:
    """post: -2**31 <= __return__ < 2**31"""
    return signed32(value)


def sectors_come_back(sectors: int) -> bool:
    """
    pre: 0 <= sectors
    post: __return__
    """
    return sectors_of(bytes_of(sectors)) == sectors


def a_delay_is_not_short(milliseconds: int) -> bool:
    """
    pre: 0 <= milliseconds
    post: __return__
    """
    return milliseconds <= jiffies_of(milliseconds, 100) * 10 < milliseconds + 10


def the_sentinel_is_not_committed(count: int) -> bool:
    """
    pre: 0 <= count <= U64_MAX
    post: not __return__
    """
    return is_committed(U64_MAX, count)


def regions_are_in_order(index: int) -> bool:
    """
    pre: 0 <= index
    post: __return__
    """
    return entry_region(index) <= entry_region(index + 1) <= entry_region(index) + 1


def bits_cover(metadata_size: int) -> bool:
    """
    pre: 0 <= metadata_size
    post: __return__
    """
    return 0 <= bitmap_bits(metadata_size) * 65536 - metadata_size < 65536


def half_a_watermark(n_blocks: int) -> bool:
    """
    pre: 0 <= n_blocks < 2**47
    post: __return__
    """
    return 0 <= freelist_watermark(n_blocks, 50) * 2 - n_blocks <= 1


def a_map_has_what_was_set(a: int, b: int) -> bool:
    """post: __return__"""
    both = OrderedMap[int]().set(a, 1).set(b, 2)
    return both.get(b) == 2 and both.get(a) == (2 if a == b else 1) and len(both) == 1 + (a != b)


def a_map_is_in_order(a: int, b: int) -> bool:
    """post: __return__"""
    keys = list(OrderedMap[int]().set(a, 1).set(b, 2))
    return keys == ([a] if a == b else [min(a, b), max(a, b)])


def a_map_forgets_what_was_removed(a: int, b: int) -> bool:
    """
    pre: a != b
    post: __return__
    """
    left = OrderedMap[int]().set(a, 1).set(b, 2).remove(a)
    return left.get(a) is None and left.get(b) == 2 and len(left) == 1


def a_map_finds_what_follows(a: int, b: int) -> bool:
    """
    pre: a <= b
    post: __return__
    """
    return OrderedMap[int]().set(b, 7).at_or_after(a) == (b, 7)


def a_vector_has_what_was_set(value: int) -> bool:
    """post: __return__"""
    before = Vector([1, 2, 3])
    after = before.set(1, value)
    return list(after) == [1, value, 3] and list(before) == [1, 2, 3]


def a_map_of_many_has_what_was_set(keys: list[int]) -> bool:
    """post: __return__"""
    made: OrderedMap[int] = OrderedMap()
    for key in keys:
        made = made.set(key, key)
    return list(made) == sorted(set(keys))
