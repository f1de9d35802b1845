"""Theorems about the shipped functions of `writecache_spec`, and what proves them."""
