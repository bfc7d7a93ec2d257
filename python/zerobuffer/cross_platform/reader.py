"""Reads and checks frames: ``python -m zerobuffer.cross_platform.reader NAME``.

Exit codes: 0; 1 if a frame was wrong or reading ended with an error; 2 if the buffer could not be
created.
"""

import argparse
import hashlib
import itertools
import sys
import time
from collections.abc import Sequence
from typing import Optional

from zerobuffer import Frame, Reader, WriterDeadException

from .patterns import PATTERNS, pattern_bytes
from .report import Report

#: So many checksums are kept for the result.
_MAX_CHECKSUMS = 100


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Create a buffer of the default size and read frames from it")
    parser.add_argument("buffer_name", help="name of the buffer to create")
    parser.add_argument("-n", "--frames", type=int, default=1000, help="number of frames, -1 for all (default: 1000)")
    parser.add_argument("-s", "--size", type=int, default=1024, help="expected bytes per frame (default: 1024)")
    parser.add_argument("--timeout-ms", type=int, default=5000, help="wait per frame, 0 for ever (default: 5000)")
    parser.add_argument("--verify", choices=("none", *PATTERNS), default="none", help="expected content")
    parser.add_argument("--checksum", action="store_true", help="print the MD5 of the first 100 frames")
    parser.add_argument("--batch-size", type=int, default=1, help="accepted and ignored, as in 1.x")
    parser.add_argument("--json-output", action="store_true", help="print the result as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="print progress")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the program with ``argv`` or the command line."""
    args = _arguments().parse_args(argv)
    report = Report("read", args.buffer_name, args.size, args.json_output, args.verbose)
    report.fields.update(verification_errors=0, checksums=[])
    try:
        report.say(f"Connecting to buffer: {args.buffer_name}")
        with Reader(args.buffer_name) as reader:
            _read(reader, args, report)
    except Exception as error:
        return report.failed(error)
    report.print_json()
    return 1 if report.fields["verification_errors"] or report.errors else 0


def _read(reader: Reader, args: argparse.Namespace, report: Report) -> None:
    timeout = args.timeout_ms / 1000.0 if args.timeout_ms else None
    start = time.perf_counter()
    for index in range(args.frames) if args.frames >= 0 else itertools.count():
        try:
            frame = reader.read_frame(timeout=timeout)
            if frame is None:
                if not reader.is_writer_connected():
                    raise WriterDeadException("no writer has come in time")
                report.say(f"No more frames after {index}")
                break
            with frame:
                _check(frame, index, args, report)
        except Exception as error:
            report.errors.append(f"Frame {index}: {error}")
            break
        report.fields["frames_read"] = index + 1
        if (index + 1) % 100 == 0:
            report.say(f"Read {index + 1} frames...")
    frames = report.fields["frames_read"]
    report.timed(time.perf_counter() - start, frames)
    # The writer comes after the reader, so its metadata is there only now.
    metadata = reader.get_metadata()
    if metadata is not None:
        report.fields["metadata_size"] = len(metadata)
        report.say(f"Read metadata: {len(metadata)} bytes")
    if not args.json_output and args.verify != "none":
        print(f"Verification errors: {report.fields['verification_errors']}")


def _check(frame: Frame, index: int, args: argparse.Namespace, report: Report) -> None:
    if len(frame) != args.size:
        report.errors.append(f"Frame {index}: Expected size {args.size}, got {len(frame)}")
    if args.verify != "none" and frame.data != pattern_bytes(args.verify, index, len(frame)):
        report.fields["verification_errors"] += 1
        report.say(f"Frame {index}: Verification failed")
    if args.checksum and len(report.fields["checksums"]) < _MAX_CHECKSUMS:
        digest = hashlib.md5(frame.data, usedforsecurity=False).hexdigest()
        report.fields["checksums"].append({"frame": index, "checksum": digest})


if __name__ == "__main__":
    sys.exit(main())
