"""Targets of other people's making, as `writecache_models.conformance` judges them.

`lines` speaks with a program, `command` makes a target of one that speaks the line protocol, `nbd`
of a server of network block devices, `engine` of the engine itself.
"""
