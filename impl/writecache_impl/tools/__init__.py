"""Offline tools: a cache image, its origin, and no kernel that could bring the two together.

`image` opens what is read or written; `cache` finds the superblock in it; `picture` says which
blocks a kernel would find, by way of `plain` or, with numpy, `fast`.  Each tool is a module over
these and has its command in `writecache_impl.cli`.
"""
