"""``python -m zerobuffer.cross_platform writer|reader ...``."""

import sys

from . import reader_main, writer_main

_PROGRAMS = {"writer": writer_main, "reader": reader_main}


def main() -> int:
    """Run the program that the first argument names."""
    program = _PROGRAMS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if program is None:
        print("Usage: python -m zerobuffer.cross_platform writer|reader NAME [options]", file=sys.stderr)
        return 1
    return program(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
