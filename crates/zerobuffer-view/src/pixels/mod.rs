//! Any of the formats whose samples have bytes of their own, as RGB or grey of 8 bits, for pictures
//! on a screen.
mod component;
mod matrix;

use zerobuffer_video::{Format, Layout, Plane, Video};

use component::{Component, Depth, Model};
use matrix::Matrix;

/// A picture of 8 bits with tight rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// 1 grey, 3 RGB, 4 RGB and 255.
    pub channels: usize,
    /// Rows from the top, components side by side.
    pub bytes: Vec<u8>,
}

/// Whether pictures of this format can be converted.
#[must_use]
pub fn is_known(format: Format) -> bool {
    Model::of(format).is_some()
}

/// Every `scale`th pixel of every `scale`th row as 8 bits; RGB of four bytes where it is `wide`.
/// `None` for a format that is not known. Bytes that `pixels` lacks count as 0.
#[must_use]
pub fn convert(video: &Video, layout: &Layout, pixels: &[u8], scale: u32, wide: bool) -> Option<Image> {
    let model = Model::of(video.format)?;
    let depth = Depth::of(video.format);
    let scale = scale.max(1) as usize;
    let (width, height) = ((video.width as usize).div_ceil(scale), video.rows().div_ceil(scale));
    let columns = Columns { width, scale, depth };
    let channels = match (&model, wide) {
        (_, true) => 4,
        (Model::Gray(_), _) => 1,
        _ => 3,
    };
    let mut bytes = Vec::with_capacity(width.checked_mul(height)?.checked_mul(channels)?);
    let mut lines: [Vec<u8>; 3] = Default::default();
    let matrix = Matrix::of(video);
    for y in (0..height).map(|row| row * scale) {
        let components: &[Component] = match &model {
            Model::Gray(one) => std::slice::from_ref(one),
            Model::Rgb(three) | Model::Yuv(three) => three,
        };
        for (line, component) in lines.iter_mut().zip(components) {
            let plane = layout.planes().get(component.plane)?;
            columns.gather(line, row(pixels, plane, y >> component.rows), component);
        }
        let [first, second, third] = &lines;
        let pixels = first.iter().zip(second).zip(third).map(|((a, b), c)| (*a, *b, *c));
        match (&model, wide) {
            (Model::Gray(_), false) => bytes.extend_from_slice(first),
            (Model::Gray(_), true) => bytes.extend(first.iter().flat_map(|v| [*v, *v, *v, 255])),
            (Model::Rgb(_), false) => bytes.extend(pixels.flat_map(|(r, g, b)| [r, g, b])),
            (Model::Rgb(_), true) => bytes.extend(pixels.flat_map(|(r, g, b)| [r, g, b, 255])),
            (Model::Yuv(_), false) => bytes.extend(pixels.flat_map(|(y, u, v)| matrix.rgb(y, u, v))),
            (Model::Yuv(_), true) => bytes.extend(pixels.flat_map(|(y, u, v)| {
                let [r, g, b] = matrix.rgb(y, u, v);
                [r, g, b, 255]
            })),
        }
    }
    let size = |pixels: usize| u32::try_from(pixels).ok();
    Some(Image { width: size(width)?, height: size(height)?, channels, bytes })
}

/// Grey of 16 bits, the high byte first as PNG has it, where the format is that; as exact as the
/// frame itself.
pub(crate) fn gray16(video: &Video, layout: &Layout, pixels: &[u8]) -> Option<Vec<u8>> {
    let swapped = match video.format.name() {
        "GRAY16_LE" => true,
        "GRAY16_BE" => false,
        _ => return None,
    };
    let plane = layout.planes().first()?;
    let mut bytes = Vec::with_capacity(plane.row.checked_mul(plane.rows)?);
    for y in 0..video.rows() {
        let samples = row(pixels, plane, y).as_chunks::<2>().0;
        bytes.extend(samples.iter().flat_map(|&[a, b]| if swapped { [b, a] } else { [a, b] }));
    }
    Some(bytes)
}

fn row<'a>(pixels: &'a [u8], plane: &Plane, y: usize) -> &'a [u8] {
    let start = plane.offset + y.min(plane.rows.saturating_sub(1)) * plane.stride;
    pixels.get(start..start + plane.row).unwrap_or_default()
}

/// Which columns are taken, and how wide samples are.
struct Columns {
    width: usize,
    scale: usize,
    depth: Depth,
}

impl Columns {
    /// One component of a row, as 8 bits, for every column that is taken.
    fn gather(&self, line: &mut Vec<u8>, row: &[u8], component: &Component) {
        let &Component { offset, step, columns, .. } = component;
        let index = |x: usize| ((x * self.scale) >> columns) * step + offset;
        line.clear();
        match self.depth {
            Depth::Bytes => {
                line.extend((0..self.width).map(|x| row.get(index(x)).copied().unwrap_or_default()));
            }
            Depth::Words { big, shift } => {
                let samples = row.as_chunks::<2>().0;
                line.extend((0..self.width).map(|x| {
                    let sample = samples.get(index(x)).copied().unwrap_or_default();
                    let value = if big { u16::from_be_bytes(sample) } else { u16::from_le_bytes(sample) };
                    u8::try_from(value >> shift).unwrap_or(u8::MAX)
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(format: &str, width: u32, height: u32) -> Video {
        Video::new(Format::from_name(format).unwrap(), width, height).unwrap()
    }

    fn image(format: &str, width: u32, height: u32, pixels: &[u8], scale: u32) -> Image {
        let video = video(format, width, height);
        let layout = Layout::tight(&video).unwrap();
        assert_eq!(layout.size(), pixels.len(), "{format}");
        convert(&video, &layout, pixels, scale, false).unwrap()
    }

    #[test]
    fn components_in_every_order() {
        for (format, pixel) in [
            ("RGB", &[10, 20, 30][..]),
            ("BGR", &[30, 20, 10]),
            ("RGBx", &[10, 20, 30, 9]),
            ("BGRA", &[30, 20, 10, 9]),
            ("xRGB", &[9, 10, 20, 30]),
            ("ABGR", &[9, 30, 20, 10]),
            ("RBGA", &[10, 30, 20, 9]),
            ("GBR", &[20, 30, 10]),
            ("RGBP", &[10, 20, 30]),
            ("BGRP", &[30, 20, 10]),
            ("ARGB64_LE", &[0, 9, 0, 10, 0, 20, 0, 30]),
            ("RGBA64_BE", &[10, 0, 20, 0, 30, 0, 9, 0]),
            ("GBR_10LE", &[80, 0, 120, 0, 40, 0]),
        ] {
            assert_eq!(image(format, 1, 1, pixel, 1).bytes, [10, 20, 30], "{format}");
        }
        assert_eq!(image("GRAY16_LE", 2, 1, &[1, 2, 3, 4], 1).bytes, [2, 4]);
        assert_eq!(image("GRAY10_LE16", 1, 1, &[0xff, 0x03], 1).bytes, [255]);
    }

    #[test]
    fn chroma_in_every_order() {
        // Red in BT.601 of limited range.
        let (y, u, v) = (82, 90, 240);
        for (format, across, down, pixels) in [
            ("I420", 2, 2, vec![y, y, y, y, u, v]),
            ("YV12", 2, 2, vec![y, y, y, y, v, u]),
            ("NV12", 2, 2, vec![y, y, y, y, u, v]),
            ("NV21", 2, 2, vec![y, y, y, y, v, u]),
            ("I420", 3, 3, [vec![y; 9], vec![u; 4], vec![v; 4]].concat()),
            ("NV12", 1, 1, vec![y, u, v]),
            ("Y42B", 2, 1, vec![y, y, u, v]),
            ("NV16", 2, 1, vec![y, y, u, v]),
            ("Y444", 1, 1, vec![y, u, v]),
            ("NV24", 1, 1, vec![y, u, v]),
            ("YUY2", 2, 1, vec![y, u, y, v]),
            ("YVYU", 2, 1, vec![y, v, y, u]),
            ("UYVY", 2, 1, vec![u, y, v, y]),
            ("VYUY", 2, 1, vec![v, y, u, y]),
            ("AYUV", 1, 1, vec![9, y, u, v]),
            ("VUYA", 1, 1, vec![v, u, y, 9]),
            ("IYU2", 1, 1, vec![u, y, v]),
            ("v308", 1, 1, vec![y, u, v]),
            ("P010_10LE", 1, 1, vec![0, y, 0, u, 0, v]),
            ("I420_10BE", 1, 1, [y, u, v].iter().flat_map(|s| (u16::from(*s) << 2).to_be_bytes()).collect()),
            ("Y210", 2, 1, vec![0, y, 0, u, 0, y, 0, v]),
        ] {
            let image = image(format, across, down, &pixels, 1);
            for pixel in image.bytes.chunks(3) {
                assert!(pixel[0] >= 253 && pixel[1] <= 2 && pixel[2] <= 2, "{format}: {pixel:?}");
            }
            assert_eq!(image.bytes.len() as u32, across * down * 3, "{format}");
        }
    }

    #[test]
    fn pixels_are_left_out() {
        let pixels: Vec<u8> = (0..35).collect();
        let image = image("GRAY8", 7, 5, &pixels, 3);
        assert_eq!((image.width, image.height, &image.bytes[..]), (3, 2, &[0, 3, 6, 21, 24, 27][..]));
    }

    #[test]
    fn what_is_too_short_is_black() {
        let video = video("RGB", 2, 2);
        let layout = Layout::tight(&video).unwrap();
        let image = convert(&video, &layout, &[9; 6], 1, true).unwrap();
        assert_eq!(image.bytes, [9, 9, 9, 255, 9, 9, 9, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
    }

    #[test]
    fn formats_that_are_known() {
        let unknown: Vec<&str> =
            Format::all().filter(|format| !is_known(*format)).map(Format::name).collect();
        // Components that share bytes, and palettes.
        assert_eq!(
            unknown,
            [
                "v210",
                "RGB16",
                "BGR16",
                "RGB15",
                "BGR15",
                "UYVP",
                "RGB8P",
                "IYU1",
                "r210",
                "GRAY10_LE32",
                "NV12_10LE32",
                "NV16_10LE32",
                "NV12_10LE40",
                "Y410",
                "BGR10A2_LE",
                "RGB10A2_LE"
            ]
        );
    }
}
