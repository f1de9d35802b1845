"""Where the superblock is, if nobody says."""

from writecache_impl.tools.image import Image


def superblock_offset(image: Image, offset: int | None) -> int:
    """The offset that was given, or the one that was found, in bytes."""
    return 0 if offset is None else offset
