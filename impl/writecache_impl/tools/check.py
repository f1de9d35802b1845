"""`check`: what is wrong with a cache, what a kernel would do with it, and what may be done.

Three questions are asked at three in the morning: may the origin be mounted without the cache; is
this the right origin; what is lost if the cache is lost.
"""

from typing import Any, NamedTuple

from writecache_impl.tools.activation import PROFILE, Activation, activate
from writecache_impl.tools.arithmetic import arithmetic
from writecache_impl.tools.cache import (
    Cache,
    Geometry,
    geometry_of,
    is_block_size,
    read_superblock,
    superblock_refusal,
)
from writecache_impl.tools.errors import TruncatedError, UnreadableError
from writecache_impl.tools.image import Image
from writecache_impl.tools.numbers import Extents
from writecache_impl.tools.origin import Evidence, weigh
from writecache_impl.tools.picture import Picture, picture_of
from writecache_impl.tools.problems import Problem, Severity, counted
from writecache_impl.tools.wrong_entries import problems_of
from writecache_spec.layout import (
    MAGIC,
    SUPERBLOCK_SIZE,
    VERSION,
    SizeError,
    Superblock,
    SuperblockError,
    calculate_memory_size,
)
from writecache_spec.units import SECTOR_SIZE, U64_MAX


class Checked(NamedTuple):
    """What a check came to."""

    superblock: Superblock | None
    geometry: Geometry | None
    problems: list[Problem]
    activation: Activation | None
    picture: Picture | None = None
    stale: Extents | None = None
    """Of the origin: what is newer in the cache."""
    evidence: Evidence | None = None
    not_judged: bool = False
    """The superblock cannot be read."""

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong that recovery does not mend."""
        return all(problem.severity is Severity.NOTE for problem in self.problems)


def check(
    image: Image, offset: int = 0, origin: Image | None = None, superblock_only: bool = False
) -> Checked:
    """Check a cache; with its origin also whether the two fit."""
    try:
        superblock = read_superblock(image, offset)
    except UnreadableError as error:
        problem = _error("superblock", str(error), "nobody can tell what the cache holds")
        return Checked(None, None, [problem], None, not_judged=True)
    except TruncatedError:
        size = counted(max(image.size - offset, 0), "byte")
        where = f" from byte {offset} on" if offset else ""
        what = f"{image.path} has {size}{where}, and a superblock has {SUPERBLOCK_SIZE}"
        return Checked(None, None, [_error("image", what, "there is no cache here")], None)
    problems = superblock_problems(superblock, image.size - offset)
    if superblock_refusal(superblock, image.size - offset) is not None:
        return Checked(superblock, None, problems, activate(superblock, image.size, offset, None))
    geometry = geometry_of(superblock, offset, image.size)
    if superblock_only:
        activation = activate(superblock, image.size, offset, None)
        return Checked(superblock, geometry, problems, activation)
    cache = Cache(image, superblock, geometry)
    picture = picture_of(cache, None if origin is None else origin.size // SECTOR_SIZE)
    unreadable = bool(picture.survey.unreadable)
    if image.holes:
        missing = image.holes.within(geometry.offset, geometry.data_start)
        unreadable = unreadable or bool(missing)
    return Checked(
        superblock,
        geometry,
        problems + problems_of(picture),
        activate(superblock, image.size, offset, picture.survey, unreadable),
        picture,
        arithmetic().extents(picture.survey.live_sectors, geometry.block_sectors),
        None if origin is None else weigh(picture, origin),
    )


def _error(where: str, what: str, consequence: str) -> Problem:
    return Problem(Severity.ERROR, where, what, consequence)


def superblock_problems(superblock: Superblock, size: int) -> list[Problem]:
    """What is wrong with a superblock on a device of `size` bytes."""
    refused = "a kernel refuses the table"
    if superblock.magic == 0 and superblock.version == 0:
        formats = "a kernel would FORMAT this device: nothing in it would be kept"
        return [_error("superblock", "magic and version are zero: no cache", formats)]
    found = []
    if superblock.magic == 0 and superblock.version == VERSION:
        words = "there is a version and no magic: a format was interrupted, or the magic was wiped"
        found.append(_error("superblock.magic", words, f"{refused} (Invalid magic)"))
    elif superblock.magic != MAGIC:
        words = f"{superblock.magic:#x}, should be {MAGIC:#x}"
        found.append(_error("superblock.magic", words, f"{refused} (Invalid magic)"))
    if superblock.version != VERSION:
        words = f"{superblock.version}, should be {VERSION}"
        found.append(_error("superblock.version", words, f"{refused} (Invalid version)"))
    block_size = superblock.block_size
    if not is_block_size(block_size):
        words = f"{block_size} bytes: not a power of two from 512 to 65536"
        found.append(_error("superblock.block_size", words, "no table can name it"))
        return found
    if block_size > PROFILE.environment.page_size:
        words = f"{block_size} bytes: a kernel takes blocks of up to a page"
        consequence = (
            "a kernel with pages of 4 KiB refuses the table, one with larger pages may not"
        )
        found.append(_error("superblock.block_size", words, consequence))
    return found + _size_problems(superblock, size)


def _size_problems(superblock: Superblock, size: int) -> list[Problem]:
    """What is wrong with the number of blocks and the sequence count."""
    found = []
    whole = superblock._replace(magic=MAGIC, version=VERSION)
    refusal = superblock_refusal(whole, size)
    made = calculate_memory_size(size, superblock.block_size)
    n_fitting = 0 if isinstance(made, SizeError) else made.n_blocks
    n_blocks = superblock.n_blocks
    if refusal == SuperblockError.TOO_SMALL.value:
        words = f"{n_blocks} blocks do not fit: there is room for {n_fitting}"
        consequence = "a kernel refuses the table (Memory area is too small): was the image cut?"
        found.append(_error("superblock.n_blocks", words, consequence))
    elif refusal is not None:
        words = f"{n_blocks}: {refusal}"
        found.append(_error("superblock.n_blocks", words, "a kernel refuses the table"))
    elif n_blocks < n_fitting:
        words = f"{n_blocks} blocks, where {n_fitting} would fit"
        consequence = "the device was smaller when it was formatted; the rest is not used"
        found.append(Problem(Severity.NOTE, "superblock.n_blocks", words, consequence))
    if superblock.seq_count == U64_MAX:
        words = "all ones: the next commit wraps"
        consequence = "every block would count as uncommitted then, and recovery would drop it"
        found.append(Problem(Severity.WARNING, "superblock.seq_count", words, consequence))
    if superblock.pad or any(superblock.reserved):
        words = "bytes that nobody uses are not zero"
        consequence = "kernels keep them as they are"
        found.append(Problem(Severity.NOTE, "superblock.reserved", words, consequence))
    return found


def as_json(checked: Checked, most_extents: int | None) -> dict[str, Any]:
    """The result for programs; `most_extents` None: all of them."""
    picture, stale, evidence = checked.picture, checked.stale, checked.evidence
    value: dict[str, Any] = {
        "superblock": None if checked.superblock is None else checked.superblock._asdict(),
        "geometry": None if checked.geometry is None else checked.geometry._asdict(),
        "problems": [problem.as_json() for problem in checked.problems],
        "activation": None if checked.activation is None else checked.activation._asdict(),
        "blocks": None,
        "stale": None,
        "origin": None,
    }
    if picture is not None and stale is not None:
        survey = picture.survey
        value["blocks"] = {
            "free": survey.n_free,
            "dirty": len(survey.live_sectors),
            "uncommitted": len(survey.uncommitted),
            "superseded": len(survey.superseded),
            "unreadable_entries": len(survey.unreadable),
            "doubtful": picture.n_doubtful,
        }
        shown = slice(most_extents)
        value["stale"] = {
            "sectors": sum(stale.lengths),
            "n_extents": len(stale.starts),
            "extents": [
                list(pair) for pair in zip(stale.starts[shown], stale.lengths[shown], strict=True)
            ],
        }
    if evidence is not None:
        value["origin"] = {"is_the_right_one": evidence.verdict, **evidence._asdict()}
    return value
