//! The table of formats, in the order of GStreamer's enumeration. A test compares it with
//! GStreamer's own arithmetic.
use super::Kind::{Gray, Palette, Rgb, Yuv};
use super::Samples::{Packed, U8, U16Be, U16Le};
use super::{Kind, Padding, PlaneSpec, Samples, Spec};

const fn plane(pixels: usize, bytes: usize, rows: usize) -> PlaneSpec {
    PlaneSpec { pixels, bytes, rows, partial: false, even: false }
}

const fn format(
    name: &'static str,
    kind: Kind,
    bits: u8,
    samples: Samples,
    planes: &'static [PlaneSpec],
) -> Spec {
    Spec { name, kind, alpha: false, bits, samples, align: 4, padding: Padding::Usual, planes }
}

/// The same with an alpha component.
const fn alpha(spec: Spec) -> Spec {
    Spec { alpha: true, ..spec }
}

/// The same with rows of whole `align` bytes in GStreamer.
const fn aligned(align: usize, spec: Spec) -> Spec {
    Spec { align, ..spec }
}

/// The same with another number of rows in GStreamer.
const fn padded(padding: Padding, spec: Spec) -> Spec {
    Spec { padding, ..spec }
}

/// Luma, RGB component or alpha of one byte for each pixel.
const P1: PlaneSpec = plane(1, 1, 1);
const P2: PlaneSpec = plane(1, 2, 1);
const P3: PlaneSpec = plane(1, 3, 1);
const P4: PlaneSpec = plane(1, 4, 1);
const P8: PlaneSpec = plane(1, 8, 1);
/// One chroma component of one or two bytes, for the columns and rows that it is subsampled by.
const C1_21: PlaneSpec = plane(2, 1, 1);
const C1_22: PlaneSpec = plane(2, 1, 2);
const C1_41: PlaneSpec = plane(4, 1, 1);
const C1_44: PlaneSpec = plane(4, 1, 4);
const C2_21: PlaneSpec = plane(2, 2, 1);
const C2_22: PlaneSpec = plane(2, 2, 2);
/// Both chroma components side by side.
const CC1_21: PlaneSpec = plane(2, 2, 1);
const CC1_22: PlaneSpec = plane(2, 2, 2);
const CC2_22: PlaneSpec = plane(2, 4, 2);
/// Three samples of 10 bits in four bytes, four in five.
const T1: PlaneSpec = plane(3, 4, 1);
const T2: PlaneSpec = plane(3, 4, 2);
const F1: PlaneSpec = plane(4, 5, 1);
const F2: PlaneSpec = plane(4, 5, 2);
/// Two pixels in five bytes, rows that need not end with both.
const UYVP: PlaneSpec = PlaneSpec { pixels: 2, bytes: 5, rows: 1, partial: true, even: false };
/// Two pixels that share chroma, side by side. An odd row ends with a whole pair: the last pixel
/// has both chroma components.
const PAIR2: PlaneSpec = PlaneSpec { even: true, ..P2 };
const PAIR4: PlaneSpec = PlaneSpec { even: true, ..P4 };
/// 256 colours of four bytes.
const COLOURS: PlaneSpec = plane(1, 4, 0);

pub(crate) const FORMATS: &[Spec] = &[
    format("I420", Yuv, 8, U8, &[P1, C1_22, C1_22]),
    format("YV12", Yuv, 8, U8, &[P1, C1_22, C1_22]),
    format("YUY2", Yuv, 8, U8, &[PAIR2]),
    format("UYVY", Yuv, 8, U8, &[PAIR2]),
    alpha(format("AYUV", Yuv, 8, U8, &[P4])),
    format("RGBx", Rgb, 8, U8, &[P4]),
    format("BGRx", Rgb, 8, U8, &[P4]),
    format("xRGB", Rgb, 8, U8, &[P4]),
    format("xBGR", Rgb, 8, U8, &[P4]),
    alpha(format("RGBA", Rgb, 8, U8, &[P4])),
    alpha(format("BGRA", Rgb, 8, U8, &[P4])),
    alpha(format("ARGB", Rgb, 8, U8, &[P4])),
    alpha(format("ABGR", Rgb, 8, U8, &[P4])),
    format("RGB", Rgb, 8, U8, &[P3]),
    format("BGR", Rgb, 8, U8, &[P3]),
    format("Y41B", Yuv, 8, U8, &[P1, C1_41, C1_41]),
    format("Y42B", Yuv, 8, U8, &[P1, C1_21, C1_21]),
    format("YVYU", Yuv, 8, U8, &[PAIR2]),
    format("Y444", Yuv, 8, U8, &[P1, P1, P1]),
    format("v210", Yuv, 10, Packed, &[plane(48, 128, 1)]),
    aligned(8, format("v216", Yuv, 16, U16Le, &[PAIR4])),
    format("NV12", Yuv, 8, U8, &[P1, CC1_22]),
    format("NV21", Yuv, 8, U8, &[P1, CC1_22]),
    format("GRAY8", Gray, 8, U8, &[P1]),
    format("GRAY16_BE", Gray, 16, U16Be, &[P2]),
    format("GRAY16_LE", Gray, 16, U16Le, &[P2]),
    format("v308", Yuv, 8, U8, &[P3]),
    format("RGB16", Rgb, 6, Packed, &[P2]),
    format("BGR16", Rgb, 6, Packed, &[P2]),
    format("RGB15", Rgb, 5, Packed, &[P2]),
    format("BGR15", Rgb, 5, Packed, &[P2]),
    format("UYVP", Yuv, 10, Packed, &[UYVP]),
    alpha(format("A420", Yuv, 8, U8, &[P1, C1_22, C1_22, P1])),
    alpha(format("RGB8P", Palette, 8, U8, &[P1, COLOURS])),
    format("YUV9", Yuv, 8, U8, &[P1, C1_44, C1_44]),
    format("YVU9", Yuv, 8, U8, &[P1, C1_44, C1_44]),
    format("IYU1", Yuv, 8, Packed, &[plane(4, 6, 1)]),
    alpha(format("ARGB64", Rgb, 16, U16Le, &[P8])),
    alpha(format("AYUV64", Yuv, 16, U16Le, &[P8])),
    format("r210", Rgb, 10, Packed, &[P4]),
    format("I420_10BE", Yuv, 10, U16Be, &[P2, C2_22, C2_22]),
    format("I420_10LE", Yuv, 10, U16Le, &[P2, C2_22, C2_22]),
    padded(Padding::Even, format("I422_10BE", Yuv, 10, U16Be, &[P2, C2_21, C2_21])),
    padded(Padding::Even, format("I422_10LE", Yuv, 10, U16Le, &[P2, C2_21, C2_21])),
    format("Y444_10BE", Yuv, 10, U16Be, &[P2, P2, P2]),
    format("Y444_10LE", Yuv, 10, U16Le, &[P2, P2, P2]),
    format("GBR", Rgb, 8, U8, &[P1, P1, P1]),
    format("GBR_10BE", Rgb, 10, U16Be, &[P2, P2, P2]),
    format("GBR_10LE", Rgb, 10, U16Le, &[P2, P2, P2]),
    format("NV16", Yuv, 8, U8, &[P1, CC1_21]),
    format("NV24", Yuv, 8, U8, &[P1, P2]),
    alpha(format("A420_10BE", Yuv, 10, U16Be, &[P2, C2_22, C2_22, P2])),
    alpha(format("A420_10LE", Yuv, 10, U16Le, &[P2, C2_22, C2_22, P2])),
    alpha(padded(Padding::Even, format("A422_10BE", Yuv, 10, U16Be, &[P2, C2_21, C2_21, P2]))),
    alpha(padded(Padding::Even, format("A422_10LE", Yuv, 10, U16Le, &[P2, C2_21, C2_21, P2]))),
    alpha(format("A444_10BE", Yuv, 10, U16Be, &[P2, P2, P2, P2])),
    alpha(format("A444_10LE", Yuv, 10, U16Le, &[P2, P2, P2, P2])),
    format("NV61", Yuv, 8, U8, &[P1, CC1_21]),
    padded(Padding::Rows, format("P010_10BE", Yuv, 10, U16Be, &[P2, CC2_22])),
    padded(Padding::Rows, format("P010_10LE", Yuv, 10, U16Le, &[P2, CC2_22])),
    format("IYU2", Yuv, 8, U8, &[P3]),
    format("VYUY", Yuv, 8, U8, &[PAIR2]),
    alpha(format("GBRA", Rgb, 8, U8, &[P1, P1, P1, P1])),
    alpha(format("GBRA_10BE", Rgb, 10, U16Be, &[P2, P2, P2, P2])),
    alpha(format("GBRA_10LE", Rgb, 10, U16Le, &[P2, P2, P2, P2])),
    format("GBR_12BE", Rgb, 12, U16Be, &[P2, P2, P2]),
    format("GBR_12LE", Rgb, 12, U16Le, &[P2, P2, P2]),
    alpha(format("GBRA_12BE", Rgb, 12, U16Be, &[P2, P2, P2, P2])),
    alpha(format("GBRA_12LE", Rgb, 12, U16Le, &[P2, P2, P2, P2])),
    format("I420_12BE", Yuv, 12, U16Be, &[P2, C2_22, C2_22]),
    format("I420_12LE", Yuv, 12, U16Le, &[P2, C2_22, C2_22]),
    padded(Padding::Even, format("I422_12BE", Yuv, 12, U16Be, &[P2, C2_21, C2_21])),
    padded(Padding::Even, format("I422_12LE", Yuv, 12, U16Le, &[P2, C2_21, C2_21])),
    format("Y444_12BE", Yuv, 12, U16Be, &[P2, P2, P2]),
    format("Y444_12LE", Yuv, 12, U16Le, &[P2, P2, P2]),
    padded(Padding::Even, format("GRAY10_LE32", Gray, 10, Packed, &[T1])),
    format("NV12_10LE32", Yuv, 10, Packed, &[T1, T2]),
    format("NV16_10LE32", Yuv, 10, Packed, &[T1, T1]),
    aligned(1, format("NV12_10LE40", Yuv, 10, Packed, &[F1, F2])),
    aligned(8, format("Y210", Yuv, 10, U16Le, &[PAIR4])),
    alpha(format("Y410", Yuv, 10, Packed, &[P4])),
    alpha(format("VUYA", Yuv, 8, U8, &[P4])),
    alpha(format("BGR10A2_LE", Rgb, 10, Packed, &[P4])),
    alpha(format("RGB10A2_LE", Rgb, 10, Packed, &[P4])),
    format("Y444_16BE", Yuv, 16, U16Be, &[P2, P2, P2]),
    format("Y444_16LE", Yuv, 16, U16Le, &[P2, P2, P2]),
    padded(Padding::Rows, format("P016_BE", Yuv, 16, U16Be, &[P2, CC2_22])),
    padded(Padding::Rows, format("P016_LE", Yuv, 16, U16Le, &[P2, CC2_22])),
    padded(Padding::Rows, format("P012_BE", Yuv, 12, U16Be, &[P2, CC2_22])),
    padded(Padding::Rows, format("P012_LE", Yuv, 12, U16Le, &[P2, CC2_22])),
    aligned(8, format("Y212_BE", Yuv, 12, U16Be, &[PAIR4])),
    aligned(8, format("Y212_LE", Yuv, 12, U16Le, &[PAIR4])),
    alpha(format("Y412_BE", Yuv, 12, U16Be, &[P8])),
    alpha(format("Y412_LE", Yuv, 12, U16Le, &[P8])),
    format("RGBP", Rgb, 8, U8, &[P1, P1, P1]),
    format("BGRP", Rgb, 8, U8, &[P1, P1, P1]),
    alpha(padded(Padding::Rows, format("AV12", Yuv, 8, U8, &[P1, CC1_22, P1]))),
    alpha(format("ARGB64_LE", Rgb, 16, U16Le, &[P8])),
    alpha(format("ARGB64_BE", Rgb, 16, U16Be, &[P8])),
    alpha(format("RGBA64_LE", Rgb, 16, U16Le, &[P8])),
    alpha(format("RGBA64_BE", Rgb, 16, U16Be, &[P8])),
    alpha(format("BGRA64_LE", Rgb, 16, U16Le, &[P8])),
    alpha(format("BGRA64_BE", Rgb, 16, U16Be, &[P8])),
    alpha(format("ABGR64_LE", Rgb, 16, U16Le, &[P8])),
    alpha(format("ABGR64_BE", Rgb, 16, U16Be, &[P8])),
    // Named by GStreamer 1.24.
    alpha(format("A422", Yuv, 8, U8, &[P1, C1_21, C1_21, P1])),
    alpha(format("A444", Yuv, 8, U8, &[P1, P1, P1, P1])),
    alpha(format("RBGA", Rgb, 8, U8, &[P4])),
    format("GRAY10_LE16", Gray, 10, U16Le, &[P2]),
];
