"""Where the superblock is, if nobody says: at the beginning, or in an LVM physical volume.

LVM keeps a cache as a logical volume (a *cachevol*, flagged CACHE_VOL) in pieces of extents.  An
image of the whole physical volume has a label in one of its first four sectors, and a text that
says where the pieces are.  Only a cachevol in one piece has a start; the pieces of another must be
put together first.
"""

import re
from typing import Final, NamedTuple

from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.problems import counted
from writecache_spec.layout import MAGIC
from writecache_spec.units import SECTOR_SIZE

_LABEL: Final = b"LABELONE"
_MDA_MAGIC: Final = b" LVM2 x[5A%r0N*>"
_LONGEST_TEXT: Final = 1 << 24


class Volume(NamedTuple):
    """A cachevol in one piece."""

    name: str
    start: int
    """Bytes."""
    length: int
    """Bytes."""


def superblock_offset(image: Image, offset: int | None) -> int:
    """The offset that was given, or the one that was found, in bytes.

    Raises ToolError for one past the image's end, and for a physical volume that has no cachevol,
    several, or one in pieces.
    """
    if offset is not None:
        if offset and offset >= image.size:
            size = counted(image.size, "byte")
            raise ToolError(f"{image.path}: it has {size}: --offset {offset} is past its end")
        return offset
    label = _label(image)
    if label is None or _int(_head(image, 4)) == MAGIC:
        return 0
    volumes = cachevols(_metadata(image, label))
    if len(volumes) == 1:
        return volumes[0].start
    what = "no cachevol" if not volumes else "several cachevols"
    named = ", ".join(f"{one.name} at byte {one.start}" for one in volumes)
    raise ToolError(
        f"{image.path}: an LVM physical volume with {what} in one piece: give --offset"
        + (f" ({named})" if named else "")
    )


def _head(image: Image, size: int) -> bytes:
    try:
        return image.read(0, min(size, image.size))
    except ToolError:
        return b""


def _int(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _label(image: Image) -> tuple[int, bytes] | None:
    """Where the label's header begins, and its sector."""
    head = _head(image, 4 * SECTOR_SIZE)
    for at in range(0, len(head), SECTOR_SIZE):
        sector = head[at : at + SECTOR_SIZE]
        if sector.startswith(_LABEL) and sector[24:32] == b"LVM2 001":
            return _int(sector[20:24]), sector
    return None


def _metadata(image: Image, label: tuple[int, bytes]) -> str:
    """The text that describes the volume group."""
    at, sector = label
    at += 32 + 8  # the volume's name and size
    areas: list[list[tuple[int, int]]] = [[], []]
    for kind in areas:
        while at + 16 <= len(sector):
            start, length = _int(sector[at : at + 8]), _int(sector[at + 8 : at + 16])
            at += 16
            if not start:
                break
            kind.append((start, length))
    for start, length in areas[1]:
        header = image.read(start, SECTOR_SIZE)
        if header[4:20] != _MDA_MAGIC:
            continue
        offset, size = _int(header[40:48]), _int(header[48:56])
        if not SECTOR_SIZE <= offset < length or not 0 < size <= min(length, _LONGEST_TEXT):
            continue
        # The area is a ring behind its header.
        first = min(size, length - offset)
        text = image.read(start + offset, first)
        if first < size:
            text += image.read(start + SECTOR_SIZE, size - first)
        return text.rstrip(b"\0").decode("utf-8", "replace")
    raise ToolError(f"{image.path}: an LVM physical volume without metadata: give --offset")


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.+/-]+|[{}\[\]=,]|#.*')
_MAXIMUM_DEPTH: Final = 16
Section = dict[str, object]


def parse_text(text: str) -> Section:
    """Read LVM's text format: sections, and names with a number, a string or a list.

    >>> parse_text('vg { extent_size = 8 # 4 KiB\\nflags = ["A", "B"] }')
    {'vg': {'extent_size': 8, 'flags': ['A', 'B']}}
    """
    tokens = [found for found in _TOKEN.findall(text) if not found.startswith("#")]
    tokens.reverse()
    stack: list[Section] = [{}]
    while tokens:
        name = tokens.pop()
        if name == "}":
            if len(stack) == 1:
                break
            stack.pop()
            continue
        sign = tokens.pop() if tokens else ""
        if sign == "{" and len(stack) < _MAXIMUM_DEPTH:
            section: Section = {}
            stack[-1][name] = section
            stack.append(section)
        elif sign == "=" and tokens:
            stack[-1][name] = _value(tokens)
        else:
            raise ToolError("LVM's metadata cannot be read: give --offset")
    return stack[0]


def _value(tokens: list[str]) -> object:
    token = tokens.pop()
    if token != "[":
        return _scalar(token)
    values = []
    while tokens and (token := tokens.pop()) != "]":
        if token != ",":
            values.append(_scalar(token))
    return values


def _scalar(token: str) -> object:
    if token.startswith('"'):
        return token[1:-1].replace('\\"', '"')
    return int(token) if re.fullmatch(r"[0-9]{1,20}", token) else token


def cachevols(text: str) -> list[Volume]:
    """The cachevols in one piece, of the one physical volume of a group's description."""
    found = []
    for group in parse_text(text).values():
        if not isinstance(group, dict) or not isinstance(group.get("logical_volumes"), dict):
            continue
        extent = _number(group.get("extent_size")) * SECTOR_SIZE
        physical = group.get("physical_volumes")
        starts = {
            name: _number(one.get("pe_start")) * SECTOR_SIZE
            for name, one in (physical.items() if isinstance(physical, dict) else ())
            if isinstance(one, dict)
        }
        for name, volume in group["logical_volumes"].items():
            if isinstance(volume, dict) and _is_cachevol(name, volume):
                piece = _only_piece(volume)
                if piece is not None and piece[0] in starts:
                    start = starts[piece[0]] + piece[1] * extent
                    found.append(Volume(name, start, piece[2] * extent))
    return found


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _is_cachevol(name: str, volume: Section) -> bool:
    status = volume.get("status")
    flags = volume.get("flags")
    named = [*(status if isinstance(status, list) else ()),
             *(flags if isinstance(flags, list) else ())]  # fmt: skip
    return "CACHE_VOL" in named or name.endswith("_cvol")


def _only_piece(volume: Section) -> tuple[str, int, int] | None:
    """Physical volume, first extent and extents of a volume of one linear segment."""
    segment = volume.get("segment1")
    if _number(volume.get("segment_count")) != 1 or not isinstance(segment, dict):
        return None
    stripes = segment.get("stripes")
    if not isinstance(stripes, list) or len(stripes) != 2 or not isinstance(stripes[1], int):
        return None
    return str(stripes[0]), stripes[1], _number(segment.get("extent_count"))
