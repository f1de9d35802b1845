"""A rescue, shown: a kernel dies over a filesystem on a writecache, and the files come home."""
