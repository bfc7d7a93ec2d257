"""Writes frames of a known content: ``python -m zerobuffer.cross_platform.writer NAME``.

Exit codes are 0 and 2.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from zerobuffer import Writer

from .patterns import PATTERNS, pattern_bytes
from .report import Report


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write frames of a known content to a buffer")
    parser.add_argument("buffer_name", help="name of the buffer; its reader must exist")
    parser.add_argument("-n", "--frames", type=int, default=1000, help="number of frames (default: 1000)")
    parser.add_argument("-s", "--size", type=int, default=1024, help="bytes per frame (default: 1024)")
    parser.add_argument("-m", "--metadata", help="text for the metadata block")
    parser.add_argument("--metadata-file", help="file with the content of the metadata block")
    parser.add_argument("--pattern", choices=PATTERNS, default="sequential", help="content (default: sequential)")
    parser.add_argument("--delay-ms", type=int, default=0, help="pause between frames in milliseconds (default: 0)")
    parser.add_argument("--batch-size", type=int, default=1, help="accepted and ignored, as in 1.x")
    parser.add_argument("--json-output", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="print progress")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the program with ``argv`` or the command line."""
    args = _arguments().parse_args(argv)
    report = Report("write", args.buffer_name, args.size, args.json_output, args.verbose)
    try:
        report.say(f"Connecting to buffer: {args.buffer_name}")
        with Writer(args.buffer_name) as writer:
            _write(writer, args, report)
    except Exception as error:
        return report.failed(error)
    report.print_json()
    return 0


def _write(writer: Writer, args: argparse.Namespace, report: Report) -> None:
    metadata = b""
    if args.metadata:
        metadata = args.metadata.encode()
    elif args.metadata_file:
        metadata = Path(args.metadata_file).read_bytes()
    if metadata:
        writer.set_metadata(metadata)
        report.fields["metadata_size"] = len(metadata)
        report.say(f"Wrote metadata: {len(metadata)} bytes")
    start = time.perf_counter()
    for index in range(args.frames):
        writer.write_frame(pattern_bytes(args.pattern, index, args.size))
        report.fields["frames_written"] = index + 1
        if (index + 1) % 100 == 0:
            report.say(f"Wrote {index + 1} frames...")
        if args.delay_ms > 0:
            time.sleep(args.delay_ms / 1000.0)
    report.timed(time.perf_counter() - start, args.frames)


if __name__ == "__main__":
    sys.exit(main())
