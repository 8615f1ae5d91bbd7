"""
How large the parts of an object are: constant where its size is known, growing where it is not.

A service takes 10 000 parts of an object.  Small parts at first keep the memory of an upload small; they grow with what
has come, so that a terabyte of unknown length still fits.
"""

MOST_PARTS = 10_000
_MIB = 1 << 20
_STEPS = (1000, 2000, 3000)  #: after so many parts they get twice as large; the last step is for a terabyte
_LARGEST_MIB = 160


def part_bytes(number: int, size: int | None, smallest_mib: int) -> int:
    """Bytes of part `number`, from 1 on, of an object of `size`."""
    if size is not None:
        needed = -(-size // (MOST_PARTS * _MIB))
        return max(smallest_mib, needed) * _MIB
    grown = smallest_mib << sum(number > step for step in _STEPS)
    return max(smallest_mib, min(grown, _LARGEST_MIB) if number <= 4000 else _LARGEST_MIB) * _MIB
