"""Aims: in which settings a mutant is hunted, where it would take long in just any."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from writecache_models.clients import Op
from writecache_models.fuzzing import OPTIONS
from writecache_models.mutants import Mutant

THEMES: Final = (
    "write flush",
    "write flush",
    "write flush discard",
    "write write_fua flush read",
    "write flush read message",
    "write write_fua flush suspend resume load open",
    "",
)
"""Operations of a walk; the last one has all."""
LAZY: Final = "4 high_watermark 100 low_watermark 100"
EAGER: Final = "4 high_watermark 0 low_watermark 0"


class Aim(NamedTuple):
    """What each walk draws from."""

    themes: tuple[str, ...] = THEMES
    options: tuple[str, ...] = OPTIONS
    block_sizes: tuple[int, ...] = (512, 512, 512, 1024)
    n_blocks: tuple[int, ...] = (2, 2, 3, 4)
    n_entries: tuple[int, ...] = (2, 3, 4, 5, 6)
    n_free: tuple[int, ...] = ()
    """Blocks that are not stocked at first; without any, none is."""
    n_clients: tuple[int, ...] = (1, 2, 3)
    failures: tuple[int, ...] = (0,)
    crashes: tuple[float, ...] = (0.0, 0.0, 0.03)
    twice: bool = False
    """Whether sector 0 is stocked twice."""
    failing: float = 1.0
    late: str = ""
    """As in a plan."""
    pmem_mode: bool = False
    start: str = ""
    """What happens first, where a walk has one chance only."""


_SMALL: Final = Aim(
    ("write flush",), (LAZY,), (512,), (2,), (3, 4), n_clients=(1, 2), crashes=(0.0,)
)
_PAIR: Final = _SMALL._replace(n_clients=(2,))
_DISCARDS: Final = _SMALL._replace(themes=("write flush discard",), n_entries=(1, 2))
_THREE: Final = _DISCARDS._replace(n_clients=(3,))
_STOCKED: Final = _SMALL._replace(
    themes=("write flush message_flush",), n_entries=(29,), n_free=(3,)
)
_REVIVED: Final = _STOCKED._replace(themes=("message_flush", "write message_flush"), twice=True)

_MEMORY: Final = _SMALL._replace(pmem_mode=True)
_MEMORY_EAGER: Final = _MEMORY._replace(options=("5 nofua high_watermark 0 low_watermark 0",))

_MESSAGES: Final = _PAIR._replace(themes=("write flush message_flush",), options=(LAZY, EAGER))
_SUSPENDS: Final = _SMALL._replace(themes=("write suspend resume",), options=(LAZY, EAGER))

_AIMS: Final[Mapping[str, Aim]] = {
    "reload-keeps-constructed-count": _SMALL._replace(
        themes=("write write_fua flush suspend resume load",)
    ),
    "uncommitted-neighbour-copied": _PAIR._replace(n_entries=(2,)),
    "overwrites-not-awaited": _PAIR._replace(n_entries=(1, 2)),
    "whole-pass-does-not-restart": _MESSAGES,
    "whole-pass-does-not-drain": _MESSAGES,
    "flush-message-does-not-commit": _MESSAGES._replace(
        themes=("write message_flush",), n_entries=(3,), n_clients=(1,)
    ),
    "flush-message-asks-for-a-pass": _MESSAGES,
    "flush-message-hides-error": _SMALL._replace(themes=("write message_flush",)),
    "suspend-does-not-commit": _SUSPENDS,
    "suspend-does-not-wait-for-writeback": _SUSPENDS,
    "pass-forgets-overwrites": _PAIR._replace(options=(EAGER,), n_entries=(3,)),
    "error-wakes-nobody": _MESSAGES._replace(options=(EAGER,)),
    "duplicates-freed-before-superblock": _SMALL,
    "blocks-freed-under-readers": _SMALL._replace(
        themes=("write read",), options=(EAGER, "0"), n_entries=(2, 3), n_clients=(2, 3)
    ),
    "commit-does-not-wait-for-writes": _PAIR,
    "overwrites-not-flushed": _SMALL,
    "overwrites-not-waited-for": _PAIR,
    "overwrite-not-remembered": _SMALL,
    "overwritten-neighbour-not-remembered": _SMALL._replace(
        themes=("write_0_2 write_0_1 flush discard_0_1",), n_entries=(2,), n_clients=(1,)
    ),
    "overwrite-runs-into-writeback": _SMALL._replace(
        themes=("write_0_2 write_0_1 discard_0_1",), n_entries=(2,)
    ),
    "overwrite-runs-over-gap": _SMALL._replace(n_blocks=(2, 3)),
    "free-run-with-gaps": _SMALL._replace(
        themes=("write discard",), n_blocks=(3, 4), n_entries=(3, 4, 5)
    ),
    "discard-not-committed": _DISCARDS,
    "discard-not-flushed": _DISCARDS,
    "discard-end-inclusive": _DISCARDS._replace(n_entries=(3,)),
    "discard-does-not-wait-for-reads": _THREE._replace(themes=("write read discard",)),
    "discard-does-not-wait-for-writes": _THREE._replace(themes=("write discard",)),
    "flush-hides-error": _SMALL,
    "new-entries-not-dirty": _STOCKED._replace(n_free=(1, 2)),
    "freed-duplicates-not-committed": _STOCKED,
    "freed-duplicates-not-flushed": _STOCKED,
    "resume-erases-without-flushing": _REVIVED,
    "resume-erases-in-memory-only": _REVIVED,
    "resume-leaves-duplicates": _REVIVED,
    "without-overwrite-newest": _SMALL._replace(
        themes=("write_0_2 write_1_1 discard_0_1 discard_1_1",),
        n_entries=(4,),
        n_clients=(1,),
        late="timer",
    ),
    "without-run-over-duplicates": _SMALL._replace(
        themes=("write_2_1 write_0_2 discard_0_2 write_3_1 write_0_3",),
        n_blocks=(4,),
        n_entries=(5,),
        n_clients=(1,),
    ),
    "without-wake-after-error": _SMALL._replace(themes=("write message_flush",), n_clients=(1,)),
    "without-reads-before-freeing": _PAIR._replace(
        themes=("write_0_2 write_1_1 write_2_1 read",), n_blocks=(3,), n_entries=(3,), late="io"
    ),
    "without-no-commit-after-error": _SMALL,
    "without-resume-flushes": _SMALL._replace(
        themes=("write suspend open",), options=("0",), n_entries=(2,), n_clients=(1,), failing=0.2
    ),
    "without-resume-refuses-unreadable": _SMALL._replace(
        themes=("write suspend resume open",), n_clients=(1,)
    ),
    "without-resume-keeps-memory": _SMALL._replace(themes=("write flush suspend resume",)),
    "memory-fua-not-committed": _MEMORY._replace(themes=("write_fua",)),
    "memory-beginning-forgotten-in-sleep": _MEMORY._replace(
        themes=("write_fua_0_2 message_cleaner",),
        options=(EAGER,),
        n_entries=(3,),
        n_clients=(2,),
        start="open; begin write_fua 0 2; map 0; work None; work None; copy 0 False; "
        "begin write_fua 0 2; map 1",
    ),
    "memory-freed-before-origin-flush": _MEMORY_EAGER,
    "memory-freed-without-fence": _MEMORY_EAGER,
    "memory-freed-in-processor-only": _MEMORY_EAGER,
    "memory-resume-erases-without-fence": _MEMORY._replace(crashes=(0.1,)),
    "memory-resume-erases-in-processor-only": _MEMORY._replace(crashes=(0.1,)),
    "without-fua-commits-beginning": _MEMORY._replace(
        themes=("write write_fua message_cleaner",), n_clients=(1,)
    ),
    "without-remainder-is-the-end": _MEMORY._replace(
        themes=("write read",), n_blocks=(3,), n_clients=(1,)
    ),
}


def aim_of(mutant: Mutant) -> Aim:
    """Where a mutant is hunted."""
    aim = _AIMS.get(mutant.name, _MEMORY if mutant.pmem_mode else Aim())
    return aim._replace(failures=(mutant.failures,)) if mutant.failures else aim


def has_aim(mutant: Mutant) -> bool:
    """Whether it has one of its own."""
    return mutant.name in _AIMS


def among(theme: str, op: Op) -> bool:
    """Whether an operation is one of a theme's, which names operations or how they begin."""
    words = ["_".join(map(str, op[:n])) for n in range(1, len(op) + 1)]
    return not theme or not set(words).isdisjoint(theme.split())


def named(theme: str, op: Op) -> bool:
    """Whether a theme names exactly this operation."""
    return "_".join(map(str, op)) in theme.split()
