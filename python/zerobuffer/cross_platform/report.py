"""The result of a run: as JSON, or as text for a person."""

import json
import sys
from typing import Any


class Report:
    """Collects what the program prints at its end."""

    def __init__(self, operation: str, buffer_name: str, frame_size: int, as_json: bool, verbose: bool) -> None:
        self.as_json = as_json
        self.verbose = verbose and not as_json
        self.frames_key = "frames_written" if operation == "write" else "frames_read"
        self.fields: dict[str, Any] = {
            "operation": operation,
            "buffer_name": buffer_name,
            self.frames_key: 0,
            "frame_size": frame_size,
            "metadata_size": 0,
            "duration_seconds": 0.0,
            "throughput_mbps": 0.0,
        }
        self.errors: list[str] = []

    def say(self, text: str) -> None:
        """Print progress, if it was asked for."""
        if self.verbose:
            print(text)

    def timed(self, seconds: float, frames: int) -> None:
        """Record how long the frames took."""
        megabytes = frames * self.fields["frame_size"] / (1024.0 * 1024.0)
        self.fields["duration_seconds"] = seconds
        self.fields["throughput_mbps"] = megabytes / seconds if seconds > 0 else 0
        if not self.as_json:
            print(
                f"{'Wrote' if self.frames_key == 'frames_written' else 'Read'} {frames} frames in {seconds:.2f} seconds"
            )
            print(f"Throughput: {self.fields['throughput_mbps']:.2f} MB/s")

    def failed(self, error: Exception) -> int:
        """Print a failure; returns the exit code 2."""
        self.errors.append(str(error))
        if self.as_json:
            self.print_json()
        else:
            print(f"Error: {error}", file=sys.stderr)
        return 2

    def print_json(self) -> None:
        """Print the fields, the errors last."""
        if self.as_json:
            print(json.dumps({**self.fields, "errors": self.errors}, indent=2))
