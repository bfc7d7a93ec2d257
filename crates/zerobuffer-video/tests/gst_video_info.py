"""Answers each line `FORMAT WIDTH HEIGHT MODE` with GStreamer's own `size strides offsets`."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

Gst.init(None)
MODES = {"progressive": GstVideo.VideoInterlaceMode.PROGRESSIVE, "mixed": GstVideo.VideoInterlaceMode.MIXED}
info = GstVideo.VideoInfo()
out = []
for line in sys.stdin:
    name, width, height, mode = line.split()
    kind = GstVideo.VideoFormat.from_string(name)
    if kind == GstVideo.VideoFormat.UNKNOWN:
        out.append("unknown\n")
        continue
    if not info.set_interlaced_format(kind, MODES[mode], int(width), int(height)):
        out.append("refused\n")
        continue
    count = info.finfo.n_planes
    out.append(f"{info.size} {info.stride[:count]} {info.offset[:count]}\n")
sys.stdout.writelines(out)
