//! Where the components of each format lie.
use zerobuffer_video::{Format, Samples};

/// Where the samples of one component are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) plane: usize,
    /// The first sample of a row.
    pub(super) offset: usize,
    /// Samples from one to the next.
    pub(super) step: usize,
    /// 2 to the power of this many columns share a sample.
    pub(super) columns: u32,
    /// 2 to the power of this many rows share a sample.
    pub(super) rows: u32,
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Gray(Component),
    /// Red, green, blue.
    Rgb([Component; 3]),
    /// Y, Cb, Cr.
    Yuv([Component; 3]),
}

const fn at(plane: usize, offset: usize, step: usize) -> Component {
    Component { plane, offset, step, columns: 0, rows: 0 }
}

/// The same for a component that several pixels share.
const fn shared(component: Component, columns: u32, rows: u32) -> Component {
    Component { columns, rows, ..component }
}

/// Three planes, Cb in the one of this number.
fn planar(cb: usize, columns: u32, rows: u32) -> Model {
    let chroma = |plane| shared(at(plane, 0, 1), columns, rows);
    Model::Yuv([at(0, 0, 1), chroma(cb), chroma(3 - cb)])
}

/// Luma, then Cb and Cr side by side, Cb at this place.
fn halves(cb: usize, columns: u32, rows: u32) -> Model {
    let chroma = |offset| shared(at(1, offset, 2), columns, rows);
    Model::Yuv([at(0, 0, 1), chroma(cb), chroma(1 - cb)])
}

/// Two pixels in four samples: Y, Cb and Cr at these places.
const fn pair(y: usize, cb: usize, cr: usize) -> Model {
    Model::Yuv([at(0, y, 2), shared(at(0, cb, 4), 1, 0), shared(at(0, cr, 4), 1, 0)])
}

/// All components of a pixel side by side.
const fn pixel(step: usize, [a, b, c]: [usize; 3]) -> [Component; 3] {
    [at(0, a, step), at(0, b, step), at(0, c, step)]
}

impl Model {
    /// `None` where components share bytes or are numbers of colours.
    pub(super) fn of(format: Format) -> Option<Model> {
        if format.samples() == Samples::Packed {
            return None;
        }
        let name = format.name();
        let planes = |[r, g, b]: [usize; 3]| Model::Rgb([at(r, 0, 1), at(g, 0, 1), at(b, 0, 1)]);
        Some(match name.split_once('_').map_or(name, |(base, _)| base) {
            "GRAY8" | "GRAY10" | "GRAY16" => Model::Gray(at(0, 0, 1)),
            "RGB" => Model::Rgb(pixel(3, [0, 1, 2])),
            "BGR" => Model::Rgb(pixel(3, [2, 1, 0])),
            "RGBx" | "RGBA" | "RGBA64" => Model::Rgb(pixel(4, [0, 1, 2])),
            "BGRx" | "BGRA" | "BGRA64" => Model::Rgb(pixel(4, [2, 1, 0])),
            "xRGB" | "ARGB" | "ARGB64" => Model::Rgb(pixel(4, [1, 2, 3])),
            "xBGR" | "ABGR" | "ABGR64" => Model::Rgb(pixel(4, [3, 2, 1])),
            "RBGA" => Model::Rgb(pixel(4, [0, 2, 1])),
            "GBR" | "GBRA" => planes([2, 0, 1]),
            "RGBP" => planes([0, 1, 2]),
            "BGRP" => planes([2, 1, 0]),
            "I420" | "A420" => planar(1, 1, 1),
            "YV12" => planar(2, 1, 1),
            "Y42B" | "I422" | "A422" => planar(1, 1, 0),
            "Y444" | "A444" => planar(1, 0, 0),
            "Y41B" => planar(1, 2, 0),
            "YUV9" => planar(1, 2, 2),
            "YVU9" => planar(2, 2, 2),
            "NV12" | "AV12" | "P010" | "P012" | "P016" => halves(0, 1, 1),
            "NV21" => halves(1, 1, 1),
            "NV16" => halves(0, 1, 0),
            "NV61" => halves(1, 1, 0),
            "NV24" => halves(0, 0, 0),
            "YUY2" | "Y210" | "Y212" => pair(0, 1, 3),
            "YVYU" => pair(0, 3, 1),
            "UYVY" | "v216" => pair(1, 0, 2),
            "VYUY" => pair(1, 2, 0),
            "AYUV" | "AYUV64" => Model::Yuv(pixel(4, [1, 2, 3])),
            "VUYA" => Model::Yuv(pixel(4, [2, 1, 0])),
            "Y412" => Model::Yuv(pixel(4, [1, 0, 2])),
            "v308" => Model::Yuv(pixel(3, [0, 1, 2])),
            "IYU2" => Model::Yuv(pixel(3, [1, 0, 2])),
            _ => return None,
        })
    }
}

/// How a sample becomes 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    Bytes,
    Words { big: bool, shift: u32 },
}

impl Depth {
    pub(super) fn of(format: Format) -> Depth {
        let big = match format.samples() {
            Samples::U16Be => true,
            Samples::U16Le => false,
            _ => return Depth::Bytes,
        };
        // These have their bits at the top of a word, the others at its bottom.
        let top = ["P010", "P012", "P016", "Y210", "Y212", "Y412"];
        let is_top = top.iter().any(|name| format.name().starts_with(name));
        let bits = if is_top { 16 } else { u32::from(format.bits()) };
        Depth::Words { big, shift: bits.saturating_sub(8) }
    }
}
