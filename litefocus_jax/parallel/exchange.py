"""What the devices of a mesh send each other, read from a program that XLA has compiled."""

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Self

from jax.stages import Compiled

_SIZES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s32": 4, "u32": 4, "f32": 4}
_SIZES |= {"s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16}
_HEAD = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\) -> .* \{$")
_COLLECTIVE = re.compile(
    r"= (?P<result>.*?) "
    r"(?P<kind>all-to-all|all-gather|all-reduce|reduce-scatter|collective-permute)(?P<start>-start)?\("
)
_ARRAY = re.compile(r"(?P<type>[a-z]+\d+|pred)\[(?P<sizes>[\d,]*)\]")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_LISTED_GROUP = re.compile(r"replica_groups=\{\{([\d,]*)\}")
_COUNTED_GROUP = re.compile(r"replica_groups=\[\d+,(\d+)\]")
_MESH_GROUP = re.compile(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}")


class Collective(NamedTuple):
    """Something that devices do together.

    Attributes:
        kind: under XLA's name.
        times: how often.
        size: bytes that it brings to a device each time.
    """

    kind: str
    times: int
    size: int


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What a device takes part in.

    Attributes:
        operations: how many, by the kind of collective, under XLA's names.
        received: bytes that come to a device from others, by kind. Of an all-reduce, twice its array, as in a ring.
    """

    operations: Mapping[str, int]
    received: Mapping[str, int]

    @classmethod
    def of(cls, collectives: Iterable[Collective]) -> Self:
        """The sum of all of them, by kind."""
        operations: dict[str, int] = defaultdict(int)
        received: dict[str, int] = defaultdict(int)
        for collective in collectives:
            operations[collective.kind] += collective.times
            received[collective.kind] += collective.times * collective.size
        return cls(dict(operations), dict(received))

    @property
    def total(self) -> int:
        """Bytes of all kinds."""
        return sum(self.received.values())


def exchange_of_step(compiled: Compiled | str) -> Exchange:
    """What a device exchanges in one round of the loop over steps, or in all of a program whose loops exchange nothing.

    Of two branches the lighter one counts: LiteFocus seldom takes the other, see `FrameShares.drawn_tokens`.

    Args:
        compiled: the program, or its text as XLA prints it.

    Raises:
        ValueError: when the text holds no program, or a collective whose devices are said in a way not known here, or
            one of two branches exchanges and the other does not, as in `litefocus_jax.models.unet.looped`.
    """
    text = compiled if isinstance(compiled, str) else compiled.as_text() or ""
    computations, entry = _computations(text)
    if entry is None:
        raise ValueError("the program's text has no ENTRY; expected what `Compiled.as_text` gives")
    bodies = _outermost_loops(computations, entry)
    rounds = [Exchange.of(_collectives(computations, body, 1)) for body in bodies]
    step = max(rounds, key=lambda exchange: exchange.total, default=None)
    # A loop of one step is none to XLA; what loops are left then, such as those of random draws, exchange nothing.
    return step if step is not None and step.total else Exchange.of(_collectives(computations, entry, 1))


def _outermost_loops(computations: Mapping[str, list[str]], name: str) -> Iterator[str]:
    """The bodies of the loops of a computation, and of those that it calls, which are in no other loop."""
    for line in computations.get(name, []):
        if " while(" in line:
            yield from re.findall(r"body=%?([\w.\-]+)", line)
        else:
            for called in _called(line):
                yield from _outermost_loops(computations, called)


def _called(line: str) -> list[str]:
    """The computations that an instruction names."""
    branches = [branch.strip().lstrip("%") for listed in _BRANCHES.findall(line) for branch in listed.split(",")]
    return [*_CALLED.findall(line), *branches]


def _computations(text: str) -> tuple[dict[str, list[str]], str | None]:
    """The lines of each computation by its name, and the name of the first one to run."""
    computations: dict[str, list[str]] = defaultdict(list)
    name, entry = None, None
    for line in text.splitlines():
        if head := _HEAD.match(line):
            name = head["name"]
            entry = name if head["entry"] else entry
        elif line.startswith("}"):
            name = None
        elif name is not None:
            computations[name].append(line)
    return computations, entry


def _collectives(computations: Mapping[str, list[str]], name: str, times: int) -> Iterator[Collective]:
    """The collectives of a computation that runs so often, and of those that it calls; of branches the lightest."""
    for line in computations.get(name, []):
        if found := _COLLECTIVE.search(line):
            yield Collective(found["kind"], times, _received(line, found))
        if " conditional(" in line:
            yield from _lightest([list(_collectives(computations, called, times)) for called in _called(line)], line)
            continue
        trips = _TRIPS.search(line)
        for called in _called(line):
            yield from _collectives(computations, called, times * (int(trips[1]) if trips else 1))


def _lightest(branches: list[list[Collective]], line: str) -> list[Collective]:
    totals = [Exchange.of(branch).total for branch in branches]
    if any(totals) and not all(totals):
        raise ValueError(f"a program of XLA exchanges in some branches alone: {line.strip()[:200]}")
    return min(branches, key=lambda branch: Exchange.of(branch).total, default=[])


def _received(line: str, found: re.Match[str]) -> int:
    # Beside arrays, what is only begun gives numbers that say how far it is.
    arrays = [_bytes(array) for array in _ARRAY.finditer(found["result"]) if array["sizes"] or not found["start"]]
    # What a collective that is only begun gives is its operands and then its results.
    size = sum(arrays[len(arrays) // 2 :]) if found["start"] and len(arrays) > 1 else sum(arrays)
    if found["kind"] == "collective-permute":
        return arrays[-1] if not found["start"] else arrays[len(arrays) // 2]
    group = _group_size(line)
    if found["kind"] == "reduce-scatter":
        return size * (group - 1)
    return (2 if found["kind"] == "all-reduce" else 1) * size * (group - 1) // group


def _bytes(array: re.Match[str]) -> int:
    sizes = [int(size) for size in array["sizes"].split(",") if size]
    return math.prod(sizes) * _SIZES.get(array["type"], 0)


def _group_size(line: str) -> int:
    if listed := _LISTED_GROUP.search(line):
        return len(listed[1].split(","))
    if counted := _COUNTED_GROUP.search(line):
        return int(counted[1])
    if mesh := _MESH_GROUP.search(line):
        sizes = dict(re.findall(r"('\w+')=(\d+)", mesh[1]))
        return math.prod(int(sizes[name]) for name in re.findall(r"'\w+'", mesh[2]))
    raise ValueError(f"a program of XLA says in a new way which devices take part: {line.strip()[:200]}")
