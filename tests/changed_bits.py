"""A file with one bit changed at a time."""

import random
from collections.abc import Iterator
from pathlib import Path


def changed_bits(path: Path, count: int) -> Iterator[int]:
    """Where a bit is another one now, `count` times at random; at the end the file is as it was."""
    content, chance = path.read_bytes(), random.Random(path.name)
    for _ in range(count):
        place = chance.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        yield place
    path.write_bytes(content)
