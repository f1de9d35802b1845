"""What operations need of a target, and which are left out; and claims that cannot be judged."""

from typing import Final

from writecache_models.conformance.target import Ability, Facts, Level
from writecache_models.trace import TOGETHER, Observation, Op, script_of

_NEEDS: Final = {
    "write_fua": Ability.FUA,
    "discard": Ability.DISCARD,
    "zeroes": Ability.ZEROES,
    "message": Ability.MESSAGE,
    "suspend": Ability.SUSPEND,
    "resume": Ability.SUSPEND,
    "sleep": Ability.SLEEP,
    "snapshot": Ability.SNAPSHOT,
    TOGETHER: Ability.TOGETHER,
}
_OF_LEVEL: Final = {
    Level.CONTRACT: (),
    Level.IMAGES: (Ability.SNAPSHOT,),
    Level.EXACT: (Ability.SNAPSHOT, Ability.STATUS),
}
"""What is judged by at each level."""
_REQUESTS: Final = ("read", "write", "write_fua", "write_dsync", "flush", "discard", "zeroes",
                    TOGETHER)  # fmt: skip


def needed_by(op: Op) -> frozenset[Ability]:
    """What a target must be able to do for an operation; an `open` of an open device is not seen.

    `write_dsync` is a write and a flush, among others a write with FUA.

    >>> sorted(needed_by(["together", ["flush"], ["write_fua", 0, 8, 1]]))
    [<Ability.FUA: 'fua'>, <Ability.TOGETHER: 'together'>]
    """
    name = op[0]
    if name == "crash":
        return frozenset({Ability.CRASH_WITHIN if op[2] else Ability.CRASH})
    needed = frozenset({_NEEDS[name]}) if name in _NEEDS else frozenset()
    if name == TOGETHER:
        inner = [request for client in op[1:] for request in script_of(client)]
        if any(request[0] == "write_dsync" for request in inner):
            needed |= {Ability.FUA}
        return needed.union(*map(needed_by, inner))
    return needed


def claims_problem(facts: Facts) -> str | None:
    """Why what a target says of itself cannot be judged; None if it can."""
    abilities = facts.abilities
    if Ability.CRASH_WITHIN in abilities and Ability.CRASH not in abilities:
        return "it can crash-within, and so it must say that it can crash"
    missing = [one.value for one in _OF_LEVEL[facts.level] if one not in abilities]
    if missing:
        return f"it claims level {facts.level:d}, and so it must say that it can {missing[0]}"
    return None


def left_out(
    facts: Facts, op: Op, recorded: Observation, *, is_open: bool, is_suspended: bool
) -> str | None:
    """Why an operation is left out; None if it is not.

    An error that was recorded of a kernel says that it refused; then nothing is known of a target.
    """
    name = op[0]
    if not needed_by(op) <= facts.abilities:
        return f"{name}: the target cannot do it"
    if name == "snapshot" and facts.level < Level.IMAGES:
        return "snapshot: the target claims level 1"
    if name == TOGETHER and any(script_of(client) is client for client in op[1:]):
        return "together: clients of several requests: only of level 3"
    if name in ("fail", "heal", "begin"):
        return f"{name}: it is not asked of a target"
    if name == "message" and op[1:] != ["flush"]:
        return "message: only flush has a meaning for every target"
    if name == "open":
        if recorded.get("errno"):
            return "open: the kernel refused it"
        can_reload = not is_open or Ability.SUSPEND in facts.abilities
        return None if can_reload else "open: the target cannot do it twice"
    if name in _REQUESTS and is_suspended:
        return f"{name}: the device is suspended"
    without_device = name == "snapshot" or (name == "crash" and op[2])
    return None if is_open or without_device else f"{name}: there is no device"
