"""Profiles: which kernel is described.

A profile is a target version in a kernel series in an environment.  Nothing else in the
specification asks which kernel it is: a transition reads one named property of the profile, and
each property below says what it changes.  `PROFILES` holds the ones that have a name.

How sure they are: `1.6.0`, `1.6.0-7.2` and `1.4.0-bullseye` are confirmed by live kernels (6.1 and
6.12; 7.2; 5.10.46).  `1.4.0` is the described source: confirmed where it agrees with 1.6.0 without
the newer features, otherwise from source.  `1.6.0-6.12.117` is from source: the stable update of
that number mended things that no kernel packaged for user mode carries yet (in persistent memory
more than is described here: it asks for DAX, and commits the beginning of a split FUA write).
"""

import re
from enum import Enum
from typing import Final, NamedTuple

from writecache_spec.repairs import ALL_REPAIRS, NO_REPAIRS, Repair

__all__ = ["PROFILES", "Environment", "Profile", "SuperblockWrite", "profile_for_kernel"]


class SuperblockWrite(Enum):
    """How much of the metadata a commit's superblock write carries (`ssd_commit_superblock`)."""

    PAGE = "a page, clamped to the metadata"
    """Before 5.14."""
    BLOCK = "one cache block"
    """The described source."""
    AT_LEAST_4K = "a cache block, at least 4 KiB, clamped to the metadata"
    """Since 5.15: some drives are slow with anything smaller."""


class Environment(NamedTuple):
    """What the kernel around the target is like."""

    hz: int = 100
    """Ticks of the kernel's clock in a second; user-mode Linux has 100."""
    page_size: int = 4096
    """Bytes; also the largest cache block."""
    total_ram_pages: int = 62000
    """Decides the default of `writeback_jobs` in 1.6.0."""
    persistent_memory: bool = False
    """Whether the kernel was built with a pmem API and DAX: without, mode `p` is refused."""
    handles_hardware_errors: bool = False
    """Whether entries are also kept outside the metadata, to survive machine checks (x86-64)."""
    remainder_forgets_copied: bool = False
    """Whether device-mapper begins the remainder of a request too early where its beginning was
    copied from or to persistent memory (`remainder`)."""
    saturates_numbers: bool = False
    """Whether a number of more than 64 bits in a table counts as the largest of 64; older kernels
    keep its low 64 bits."""
    unknown_device_errno: str = "ENOENT"
    """What naming a device that does not exist yields."""
    merges_with_any_request: bool = False
    """Whether the block layer looks at all requests queued together, or (since 5.16) at the last
    one only, for one to merge a new one with.  It decides in which order copies end."""


class Profile(NamedTuple):
    """One described kernel."""

    name: str
    """What `PROFILES` and the command line call it."""
    target_version: tuple[int, int, int]
    """Of the device-mapper target."""
    environment: Environment = Environment()
    """The kernel around it."""
    superblock_write: SuperblockWrite = SuperblockWrite.AT_LEAST_4K
    """How much a commit's last write carries."""
    flush_bios: int = 2
    """How many times device-mapper sends a flush: with 2, the second goes to the origin."""
    has_statistics: bool = True
    """Ten counters in the status line, and the message `clear_stats`."""
    has_pause: bool = True
    """`pause_writeback` and `metadata_only`, and a pause of 3 s before writeback by default."""
    limits_writeback_jobs: bool = True
    """Whether `writeback_jobs` has a default, from the memory; else 0, no limit."""
    maximum_feature_args: int = 18
    """The most words that options may be."""
    overwrite_coalesces: bool = True
    """A request that overwrites goes on over the neighbours it can overwrite in place.

    Where false (5.10.46), it goes on with free blocks, and makes duplicates of what it covers."""
    suspended_pass_is_limited: bool = True
    """The 64-step limit of a pass of writeback also ends it while the device is suspended."""
    discard_uncounts_uncommitted: bool = True
    """A discard takes uncommitted blocks off the autocommit counter (which can wrap)."""
    overwrite_counts_as_allocate: bool = True
    """`writes_allocate` counts every further block of a request, even an overwritten one."""
    offloads_fua: bool = False
    """A completed FUA write is handed to the flush thread before it is reported."""
    repairs: frozenset[Repair] = NO_REPAIRS
    """Where the reference departs from the kernel, to keep the contract."""

    def repaired(self, without: frozenset[Repair] = NO_REPAIRS) -> "Profile":
        """This profile with all repairs, or all but some."""
        return self._replace(repairs=ALL_REPAIRS - without)

    def mends(self, repair: Repair) -> bool:
        """Whether a repair is made."""
        return repair in self.repairs

    @property
    def flush_numbers(self) -> range:
        """The numbers of the flushes that device-mapper sends for one."""
        return range(2 if self.mends(Repair.FLUSH_REACHES_ORIGIN) else self.flush_bios)

    @property
    def version(self) -> str:
        """The target version as text, as device-mapper prints it."""
        return ".".join(map(str, self.target_version))


_V1_6_0: Final = Profile("1.6.0", (1, 6, 0))

_V1_4_0: Final = Profile(
    "1.4.0",
    (1, 4, 0),
    superblock_write=SuperblockWrite.BLOCK,
    has_statistics=False,
    has_pause=False,
    limits_writeback_jobs=False,
    maximum_feature_args=16,
)

_BULLSEYE: Final = _V1_4_0._replace(
    name="1.4.0-bullseye",
    environment=Environment(unknown_device_errno="ENODEV", merges_with_any_request=True),
    superblock_write=SuperblockWrite.PAGE,
    flush_bios=1,
    overwrite_coalesces=False,
    suspended_pass_is_limited=False,
)

PROFILES: Final = {
    profile.name: profile
    for profile in (
        _V1_4_0,
        _BULLSEYE,
        _V1_6_0._replace(name="1.6.0-6.1", environment=Environment(unknown_device_errno="ENODEV")),
        _V1_6_0._replace(
            name="1.6.0-6.1-amd64",
            environment=Environment(
                hz=250,
                persistent_memory=True,
                handles_hardware_errors=True,
                remainder_forgets_copied=True,
                unknown_device_errno="ENODEV",
            ),
        ),
        _V1_6_0,
        _V1_6_0._replace(
            name="1.6.0-6.12.117",
            discard_uncounts_uncommitted=False,
            overwrite_counts_as_allocate=False,
            offloads_fua=True,
        ),
        _V1_6_0._replace(name="1.6.0-7.2", environment=Environment(saturates_numbers=True)),
    )
}
"""Every profile by name."""


def profile_for_kernel(release: str, target: str) -> Profile:
    """Choose the profile that describes a kernel, from `uname -r` and the target's version.

    Raises ValueError for a release that does not begin with a version.

    >>> profile_for_kernel("5.10.46", "1.4.0").name
    '1.4.0-bullseye'
    >>> profile_for_kernel("6.12.113", "1.6.0").name
    '1.6.0'
    >>> profile_for_kernel("6.1.176-amd64", "1.6.0").name
    '1.6.0-6.1-amd64'
    >>> profile_for_kernel("7.2.7", "1.6.0").name
    '1.6.0-7.2'
    """
    series = _series(release)
    if target == "1.4.0":
        # 5.10.51 mended what makes the early one different.
        return PROFILES["1.4.0-bullseye" if series < (5, 10, 51) else "1.4.0"]
    if series >= (7, 0, 0):
        return PROFILES["1.6.0-7.2"]
    if (6, 12, 117) <= series < (6, 13, 0):
        return PROFILES["1.6.0-6.12.117"]
    if series < (6, 2, 0):
        return PROFILES["1.6.0-6.1-amd64" if release.endswith("-amd64") else "1.6.0-6.1"]
    return PROFILES["1.6.0"]


_RELEASE: Final = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?=[-+~_]|\Z)", re.ASCII)


def _series(release: str) -> tuple[int, int, int]:
    """The three numbers of a kernel's version: `VERSION`, `PATCHLEVEL` and `SUBLEVEL`."""
    found = _RELEASE.match(release)
    if found is None:
        raise ValueError(f"{release!r} does not begin with a kernel's version")
    version, patch_level, sub_level = found.groups(default="0")
    return int(version), int(patch_level), int(sub_level)
