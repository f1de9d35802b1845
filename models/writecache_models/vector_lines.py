"""The lines of a vector file: JSON objects, checked; every error says where and what."""

import json
import re
from typing import Any, Final

from writecache_models.trace import (
    FORMAT,
    LARGEST_DEVICE,
    LOGS,
    LONGEST_DELAY,
    MEMORY_LOG,
    NO_LOGS,
    TOGETHER,
    Observation,
    Op,
    Trace,
    VectorError,
    op_problem,
    shown,
    unpack_image,
)
from writecache_spec.profile import profile_for_kernel

DEEPEST_NESTING: Final = 64
"""Arrays and objects within each other on a line."""
LONGEST_NUMBER: Final = 100
"""Digits of a number on a line."""
_TOO_DEEP: Final = f"nested deeper than {DEEPEST_NESTING}"
_COUNTER: Final = re.compile("[0-9]{1,20}")
_TEXTS: Final = ("status", "table", "errno", "error", "read", "cache", "origin")
_KNOWN: Final = frozenset(
    ("trace", "format", "kernel", "target", "table", "cache_sectors", "origin_sectors")
) | {"cache_image", "origin_image"}


def parse_object(line: str, where: str) -> dict[str, Any]:
    """The object that a line holds; raises VectorError."""
    try:
        record = json.loads(line, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise VectorError(f"{where}: not JSON: {error}") from error
    except ValueError as error:
        raise VectorError(f"{where}: {error}") from error
    except RecursionError as error:
        raise VectorError(f"{where}: {_TOO_DEEP}") from error
    if not isinstance(record, dict):
        raise VectorError(f"{where}: not an object")
    if line.count("[") + line.count("{") > DEEPEST_NESTING and _is_too_deep(record):
        raise VectorError(f"{where}: {_TOO_DEEP}")
    if "\\u" in line and not _is_text(record):
        raise VectorError(f"{where}: half of a surrogate pair in it")
    return record


def _whole_number(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits in it")
    return int(digits)


def _is_too_deep(record: object) -> bool:
    level = [record]
    for _ in range(DEEPEST_NESTING):
        inside: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inside += value.values()
            elif isinstance(value, list):
                inside += value
        level = inside
    return any(isinstance(value, dict | list) for value in level)


def _is_text(record: dict[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_header(record: dict[str, Any], where: str) -> Trace:
    """The trace that a header line begins, without its steps; raises VectorError."""
    if type(record.get("format")) is not int or record["format"] != FORMAT:
        raise VectorError(f"{where}: format {shown(record.get('format'))} is not {FORMAT}")
    for key in ("trace", "table", "kernel", "target"):
        absent = key in ("kernel", "target") and record.get(key) is None
        if not absent and not isinstance(record.get(key), str):
            raise VectorError(f"{where}: {key} is not a string")
    kernel = record.get("kernel")
    if kernel is not None and not _is_release(kernel):
        raise VectorError(f"{where}: kernel {shown(kernel)} is no kernel's release")
    for key in ("cache_sectors", "origin_sectors"):
        value = record.get(key)
        if type(value) is not int or not 0 < value <= LARGEST_DEVICE:
            raise VectorError(
                f"{where}: {key} {shown(value)} is not a number from 1 to {LARGEST_DEVICE}"
            )
    delays = [(key, record.get(key, 0)) for key in ("cache_delay", "origin_delay")]
    for key, delay in delays:
        if type(delay) is not int or not 0 <= delay <= LONGEST_DELAY:
            raise VectorError(f"{where}: {key} is not a number from 0 to {LONGEST_DELAY}")
    logs = record.get("logs", NO_LOGS)
    if logs not in LOGS or (logs != NO_LOGS and any(delay for _, delay in delays)):
        raise VectorError(
            f"{where}: logs is one of {', '.join(LOGS)}, and only {NO_LOGS} with a delay"
        )
    return Trace(
        name=record["trace"],
        kernel=kernel,
        target=record.get("target"),
        table=record["table"],
        cache_sectors=record["cache_sectors"],
        origin_sectors=record["origin_sectors"],
        cache_image=_image(record, "cache", where),
        origin_image=_image(record, "origin", where),
        extra={key: value for key, value in record.items() if key not in _KNOWN},
    )


def _is_release(kernel: str) -> bool:
    """Whether a profile can be chosen for it."""
    try:
        profile_for_kernel(kernel, "1.6.0")
    except ValueError:
        return False
    return True


def _image(record: dict[str, Any], device: str, where: str) -> bytes:
    try:
        return unpack_image(record.get(f"{device}_image"), 512 * record[f"{device}_sectors"])
    except (ValueError, TypeError) as error:
        raise VectorError(f"{where}: {device}_image: {error}") from error


def parse_step(record: dict[str, Any], where: str) -> tuple[Op, Observation]:
    """The operation of a step's line, and what was seen after it; raises VectorError."""
    op = record.pop("op", None)
    problem = op_problem(op)
    if problem:
        raise VectorError(f"{where}: {problem}")
    schedule = record.get("schedule", [])
    if not isinstance(schedule, list) or any(type(choice) is not int for choice in schedule):
        raise VectorError(f"{where}: schedule is not a list of whole numbers")
    for key in _TEXTS:
        value = record.get(key)
        if value is not None and not isinstance(value, str):
            raise VectorError(f"{where}: {key} is not a string")
    if type(record.get("returned", 0)) is not int:
        raise VectorError(f"{where}: returned is not a whole number")
    parts = record.get(TOGETHER, [])
    if not isinstance(parts, list) or not all(isinstance(part, dict | list) for part in parts):
        raise VectorError(f"{where}: {TOGETHER} is not a list of objects")
    counters = (record.get("status") or "").split()[4:]
    if not all(map(_COUNTER.fullmatch, counters)):
        raise VectorError(f"{where}: status {shown(record['status'])} holds no counters")
    if "log" in record and not _is_log(record["log"]):
        raise VectorError(f"{where}: log is not of devices, each with a list of entries")
    assert isinstance(op, list)
    return op, record


def _is_log(value: object) -> bool:
    """Whether it holds entries by device: flags, sector, length, and perhaps a digest."""
    if not isinstance(value, dict) or not all(isinstance(one, list) for one in value.values()):
        return False
    if value.keys() == {MEMORY_LOG}:
        return all(
            isinstance(entry, list) and entry and entry[0] in ("store", "fence", "origin")
            for entry in value[MEMORY_LOG]
        )
    entries = [entry for log in value.values() for entry in log]
    return all(
        isinstance(entry, list)
        and len(entry) in (3, 4)
        and all(type(number) is int for number in entry[:3])
        and all(isinstance(digest, str) for digest in entry[3:])
        for entry in entries
    )
