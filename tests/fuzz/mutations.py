"""Damage, drawn from a seeded generator: to bytes, and to JSON, safetensors and archives by what they are made of."""

import copy
import io
import json
import math
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

WHOLE_NUMBERS = (0, -1, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**63, 10**18, 10**400)
NUMBERS = (*WHOLE_NUMBERS, 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf)
TEXTS = ("", "x", "\x1b[2J\x1b]0;owned\x07", "\ud800", "\u202e", "a" * 5000, "../../etc", "/dev/null", "~nobody", "0")
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], [0] * 4, {"a": 1}, [[1, 2], [3]], ["x", "y"])
VALUES = (*NUMBERS, *TEXTS, *OTHERS)
WORDS = (b"\x00" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f", struct.pack("<Q", 2**63), b"[" * 64, b"\x1b[31m", b"")


def damaged_bytes(content: bytes, random: random.Random) -> bytes:
    """Some bits flipped, cut, doubled, moved or overwritten; more often near the beginning, where headers are."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        if not data:
            return bytes(data)
        nearness = random.choice((1.0, 0.1, 0.01))
        place = random.randrange(max(1, int(len(data) * nearness)))
        end = min(len(data), place + random.randrange(1, 65))
        match random.randrange(7):
            case 0 | 1:
                data[place] ^= 1 << random.randrange(8)
            case 2:
                del data[place : random.choice((end, len(data)))]
            case 3:
                data[place:place] = data[place:end]
            case 4:
                data[place:end] = random.randbytes(end - place)
            case 5:
                word = random.choice(WORDS)
                data[place : place + len(word)] = word
            case 6:
                data += random.randbytes(random.randrange(1, 100))
    return bytes(data)


def damaged_json(content: bytes, random: random.Random) -> bytes:
    """A JSON file with other values, names or nesting, or with damaged text."""
    if random.random() < 0.15:
        return damaged_bytes(content, random)
    values = json.loads(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        values = _changed(values, random)
    text = json.dumps(values)
    match random.randrange(20):
        case 0:
            depth = random.choice((10, 1000, 200_000))
            text = text.replace("1", "[" * depth + "]" * depth, 1)
        case 1:
            text = text.replace("1", "9" * 6000, 1)
        case 2 if text.startswith("{") and len(text) > 2:
            text = text[:-1] + ", " + text[1:]
    return text.encode("utf-8", "surrogatepass" if random.random() < 0.5 else "replace")


def _changed(values: Any, random: random.Random) -> Any:
    """A copy with one change, at a place that is drawn by walking down from the top."""
    values = copy.deepcopy(values)
    if random.random() < 0.02 or not isinstance(values, dict | list) or not values:
        return copy.deepcopy(random.choice(VALUES))
    parent: Any = values
    while True:
        key = random.choice(list(parent)) if isinstance(parent, dict) else random.randrange(len(parent))
        child = parent[key]
        if not isinstance(child, dict | list) or not child or random.random() < 0.25:
            break
        parent = child
    match random.randrange(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[random.choice((*TEXTS, str(key) + "2"))] = parent.pop(key)
        case 2 if isinstance(parent, dict):
            parent[random.choice(TEXTS)] = copy.deepcopy(random.choice(VALUES))
        case 3 if isinstance(child, int | float) and not isinstance(child, bool):
            parent[key] = random.choice((child + 1, child - 1, child * 1000, -child, 0.3, str(child), [child]))
        case 4 if isinstance(child, list):
            parent[key] = child * random.choice((2, 3, 100))
        case _:
            parent[key] = copy.deepcopy(random.choice(VALUES))
    return values


def damaged_safetensors(content: bytes, random: random.Random) -> bytes:
    """A safetensors file with another header, whose length may be wrong too, or with damaged bytes."""
    if random.random() < 0.3:
        return damaged_bytes(content, random)
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    name = random.choice(names)
    match random.randrange(9):
        case 0:
            header[name]["shape"] = random.choice(([], [0], [-1], [2**62, 4], header[name]["shape"][::-1], [1] * 70))
        case 1:
            header[name]["data_offsets"] = random.choice(([0, 0], [5, 1], [0, len(body) * 2], [-4, 4], [0, len(body)]))
        case 2:
            header[name]["dtype"] = random.choice(("F64", "F16", "BF16", "I64", "U8", "F8_E4M3", "C64", "x", 3, None))
        case 3:
            header[random.choice((*TEXTS, name + ".more"))] = header.pop(name)
        case 4:
            header[random.choice((name + ".copy", "\x1b[31m"))] = header[name]
        case 5:
            del header[name]
        case 6:
            header |= {str(number): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(25_000)}
        case 7:
            header["__metadata__"] = random.choice(VALUES)
        case 8:
            header = _changed(header, random)
    try:
        encoded = json.dumps(header).encode("utf-8", "replace")
    except ValueError:
        encoded = b"{}"
    stated = len(encoded) if random.random() < 0.9 else random.choice((0, 1, len(encoded) * 2, 2**40, 2**63))
    return stated.to_bytes(8, "little") + encoded + body


def damaged_archive(content: bytes, random: random.Random) -> bytes:
    """A zip archive with a record that is compressed, shorter, gone or doubled, or with damaged bytes."""
    if random.random() < 0.6:
        return damaged_bytes(content, random)
    records = {info.filename: zipfile.ZipFile(io.BytesIO(content)).read(info) for info in _records(content)}
    name = random.choice(list(records))
    compression = zipfile.ZIP_STORED
    match random.randrange(4):
        case 0:
            compression = zipfile.ZIP_DEFLATED
        case 1:
            records[name] = records[name][: len(records[name]) // 2]
        case 2:
            del records[name]
        case 3:
            records[name + random.choice(("2", "/../x"))] = records.pop(name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for each, record in records.items():
            archive.writestr(each, record)
    return packed.getvalue()


def _records(content: bytes) -> list[zipfile.ZipInfo]:
    return zipfile.ZipFile(io.BytesIO(content)).infolist()


Damage = Callable[[bytes, random.Random], bytes]


def damage_for(name: str) -> Damage:
    """How a file of a name is best damaged."""
    if name.endswith(".json"):
        return damaged_json
    if name.endswith(".safetensors"):
        return damaged_safetensors
    return damaged_archive if name.endswith(".bin") else damaged_bytes
