"""Habits: what a schedule nearly always does first, of all that can happen at a gap.

A search tries schedules that keep to one before those that break with it.
"""

from typing import Final

from writecache_models.actions import Action, Kind

_Habit = tuple[Kind, ...]
"""What happens first, of all that can."""

_LAZY: Final = (
    Kind.SETTLE,
    Kind.GO_ON,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.COPY,
    Kind.ENDIO,
    Kind.SWEEP,
    Kind.COPIES,
    Kind.SOME_COPIES,
)
_BACKGROUND: Final = (
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.COPY,
    Kind.ENDIO,
    Kind.SETTLE,
    Kind.GO_ON,
    Kind.SWEEP,
    Kind.COPIES,
    Kind.SOME_COPIES,
)
_EAGER: Final = (
    Kind.ENDIO,
    Kind.COPY,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.GO_ON,
    Kind.SETTLE,
    Kind.SWEEP,
    Kind.COPIES,
    Kind.SOME_COPIES,
)
_FREEING: Final = (
    Kind.ENDIO,
    Kind.GO_ON,
    Kind.COPY,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.SETTLE,
    Kind.SWEEP,
    Kind.COPIES,
    Kind.SOME_COPIES,
)
_TAKING: Final = (
    Kind.SETTLE,
    Kind.GO_ON,
    Kind.ENDIO,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.COPY,
    Kind.SWEEP,
    Kind.COPIES,
    Kind.SOME_COPIES,
)
HABITS: Final[tuple[_Habit, ...]] = (_LAZY, _BACKGROUND, _EAGER, _FREEING, _TAKING)
"""Requests before the background, as is canonical; the background before requests; what was begun
before what is new; blocks freed as soon as one copy has ended, and taken at once by who waits for
them; and the same, but who waits comes before the second batch of what is freed."""
_IN_BATCHES: Final = HABITS.index(_TAKING)


def habitual(habit: int, options: list[Action]) -> Action:
    """What a habit, by its number, does of several things; among equal ones the first.

    Of the ways in which blocks are freed, one batch comes last.
    """
    kinds, last = HABITS[habit], -1 if habit == _IN_BATCHES else 1

    def place(option: Action) -> tuple[int, int]:
        return kinds.index(option.kind), last * option.which if option.kind is Kind.ENDIO else 0

    return min(options, key=place)


def habits_after(habit: int, ways: list[Action], option: Action) -> list[int]:
    """Habits that a schedule may have from here on, having done `option`; `ways` is theirs."""
    if ways[habit] == option:
        return [habit]
    return [habit, *(other for other, way in enumerate(ways) if way == option)]
