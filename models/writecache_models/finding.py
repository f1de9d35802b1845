"""A finding: what shows it, and whether a profile breaks the contract there."""

from collections.abc import Iterator
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from writecache_models import crashing
from writecache_models.candidates import Turn
from writecache_models.recovery import Judge
from writecache_models.trace import Op
from writecache_models.volatile import Volatile, crashes
from writecache_models.walking import Bounds, Walker
from writecache_models.world import Setting, with_memory
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.repairs import NO_REPAIRS, Repair

LIMIT: Final = 4096
"""Contents of one crash that are looked at."""


class Symptom(Enum):
    """What a user sees."""

    CORRUPTION = "wrong data, without any crash"
    LOSS = "acknowledged data lost in a crash"
    PANIC = "the kernel dies"
    HANG = "an operation never ends"
    DEAD = "the cache cannot be activated any more"
    MISTOLD = "a failure is reported as success"
    ERROR = "the cache comes up with an error, and refuses to write"


class Trace(NamedTuple):
    """Operations one after the other; the power fails after the last one where the finding says."""

    table: str
    cache_sectors: int
    origin_sectors: int
    ops: tuple[Op, ...]
    crash: bool = False
    origin_delay: int = 0
    """Milliseconds by which a live kernel's origin must be slower."""
    cache_image: bytes = b""
    cache_delay: int = 0
    """The same for reads of its cache device."""
    logged: bool = False
    """A live kernel's writes and flushes are logged, and the log says what the crash may leave."""

    @property
    def delays(self) -> dict[str, int]:
        """What a vector's header says of how slow the devices are."""
        delays = {"cache_delay": self.cache_delay, "origin_delay": self.origin_delay}
        return {name: delay for name, delay in delays.items() if delay}

    @property
    def poisons(self) -> dict[str, bool]:
        """What the header says of memory errors."""
        return {"poison": True} if any("poison" in op for op in self.ops) else {}


class Path(NamedTuple):
    """Events of a world of blocks of 512 bytes."""

    options: str
    n_entries: int
    origin_sectors: int
    events: tuple[Turn, ...]
    pmem_mode: bool = False

    def setting(self, profile: Profile) -> Setting:
        """The world that it leads through."""
        kernel = with_memory(profile) if self.pmem_mode else profile
        return Setting(
            kernel, self.options, self.n_entries, self.origin_sectors, pmem_mode=self.pmem_mode
        )


class Synced(NamedTuple):
    """Files on ext4 over a cache with the default options, each synced; then `kill -9`."""


class Finding(NamedTuple):
    """One way in which the described system breaks the contract."""

    name: str
    title: str
    symptom: Symptom
    cause: str
    """The ordering or the check that is missing."""
    repair: Repair
    shown_by: Trace | Path
    profile: str = "1.6.0"
    kernels: str = "5.10 to 7.2"
    """Affected."""
    not_live: str | None = None
    """Why it is not shown on a live kernel; None where it is."""
    live: Trace | Synced | None = None
    """What shows it there, where that is another trace."""

    @property
    def live_trace(self) -> Trace | None:
        """The trace that shows it on a live kernel; None where none does."""
        if self.not_live is not None or isinstance(self.live, Synced):
            return None
        if self.live is not None:
            return self.live
        return self.shown_by if isinstance(self.shown_by, Trace) else None

    @property
    def live_needs_memory(self) -> bool:
        """Whether only a kernel that has persistent memory can show it."""
        trace = self.live_trace
        return trace is not None and trace.table.lower().startswith("p ")


class Shown(NamedTuple):
    """What a profile does on a finding's trace."""

    what: str
    disks: tuple[Volatile, ...] = ()
    """What the crash left, where there was one."""
    after: int | None = None
    """The operation after which, or during which, the power failed."""


def show(finding: Finding, profile: Profile) -> Shown | None:
    """How a profile breaks the contract on a finding's trace; None where it keeps it."""
    if isinstance(finding.shown_by, Path):
        crashes = finding.symptom in (Symptom.LOSS, Symptom.DEAD, Symptom.ERROR)
        return _show_path(finding.shown_by, profile, crashes)
    return _show_trace(finding.shown_by, profile)


def faithful(finding: Finding) -> Profile:
    """The kernel's own profile."""
    return PROFILES[finding.profile]


def repaired(finding: Finding, without: bool = False) -> Profile:
    """The profile with all repairs, or with all but the finding's."""
    missing = frozenset({finding.repair}) if without else NO_REPAIRS
    return faithful(finding).repaired(without=missing)


def _show_path(path: Path, profile: Profile, crashes: bool) -> Shown | None:
    setting = path.setting(profile)
    walker = Walker(setting, Bounds((), 9, 9), Judge(setting))
    # Crashes of the first format are a finding of their own.
    wrong = walker.replay(path.events, crashes, crash_in_format=False)
    return None if wrong is None else Shown(wrong.what)


def quiet_table(*options: str, block_size: int = 512) -> str:
    """A table line with these options and those that keep timers away."""
    words = [*options, *["pause_writeback", "0", "autocommit_time", "3600000"]]
    return f"s ORIGIN CACHE {block_size} {len(words)} {' '.join(words)}"


def table_for(trace: Trace, profile: Profile) -> str:
    """A trace's table line, without the option that a profile does not have, nor need."""
    if profile.has_pause or "pause_writeback" not in trace.table:
        return trace.table
    *head, count = trace.table.split()[:5]
    options = trace.table.replace(" pause_writeback 0", "").split()[5:]
    return " ".join([*head, str(int(count) - 2), *options])


def _show_trace(trace: Trace, profile: Profile) -> Shown | None:
    table = table_for(trace, profile)
    setting = crashing.Setting(profile, table, trace.cache_sectors, trace.origin_sectors)
    run = crashing.run(setting, trace.ops, trace.cache_image)
    if run.violations:
        return Shown(run.violations[0].what)
    if not trace.crash:
        return None
    return next(_lost(setting, run, len(trace.ops) - 1), None)


def _lost(setting: crashing.Setting, run: crashing.Run, op: int) -> Iterator[Shown]:
    """What crashes leave that breaks the contract: while the last operation runs, and after it.

    What is left when it has ended comes first: it needs no further explanation.
    """
    first = run.ends[op - 1] if op else 0
    for moment in reversed(run.moments[first:]):
        judgement = crashing.Judgement(setting, LIMIT, Random(1))
        judgement.fail_at(moment, 0, (), 1)
        for violation in judgement.violations:
            # Drawn anew in the same order.
            for left in crashes(moment.disks, LIMIT, Random(1)):
                if left.number == violation.lost[0]:
                    yield Shown(violation.what, left.disks, op)
