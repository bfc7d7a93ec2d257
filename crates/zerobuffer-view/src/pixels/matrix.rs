//! From luma and chroma to red, green and blue.
use zerobuffer_video::{Colorimetry, Range, Video};

/// Fractions have 16 bits.
const ONE: f64 = 65536.0;

/// The factors of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    black: i32,
    luma: i32,
    red_cr: i32,
    green_cb: i32,
    green_cr: i32,
    blue_cb: i32,
}

impl Matrix {
    /// By what the stream says of its colours, or by what is usual for its size.
    pub(super) fn of(video: &Video) -> Matrix {
        let usual = video.default_colorimetry(Range::Limited);
        let said = video.colorimetry.unwrap_or(usual);
        let (red, blue) = match said.matrix {
            Colorimetry::MATRIX_BT709 => (0.2126, 0.0722),
            Colorimetry::MATRIX_BT2020 => (0.2627, 0.0593),
            Colorimetry::MATRIX_SMPTE240M => (0.212, 0.087),
            Colorimetry::MATRIX_FCC => (0.30, 0.11),
            Colorimetry::MATRIX_BT601 => (0.299, 0.114),
            _ if usual.matrix == Colorimetry::MATRIX_BT709 => (0.2126, 0.0722),
            _ => (0.299, 0.114),
        };
        let is_full = said.range == Range::Full;
        let (black, luma, chroma) = if is_full { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let green = 1.0 - red - blue;
        // Below 2^18: exact in an i32.
        let fixed = |factor: f64| (factor * ONE).round() as i32;
        Matrix {
            black,
            luma: fixed(luma),
            red_cr: fixed(2.0 * (1.0 - red) * chroma),
            green_cb: fixed(-2.0 * (1.0 - blue) * blue / green * chroma),
            green_cr: fixed(-2.0 * (1.0 - red) * red / green * chroma),
            blue_cb: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << 15);
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let byte = |value: i32| u8::try_from((value >> 16).clamp(0, 255)).unwrap_or_default();
        [
            byte(luma + cr * self.red_cr),
            byte(luma + cb * self.green_cb + cr * self.green_cr),
            byte(luma + cb * self.blue_cb),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerobuffer_video::Format;

    #[test]
    fn within_one_of_the_exact_formula() {
        let mut video = Video::new(Format::from_name("I420").unwrap(), 1920, 1080).unwrap();
        for (colorimetry, red, blue, black, luma, chroma) in [
            (None, 0.2126, 0.0722, 16.0, 219.0, 224.0),
            (Some(Colorimetry::BT601), 0.299, 0.114, 16.0, 219.0, 224.0),
            (Colorimetry::parse("1:4:0:0").ok(), 0.299, 0.114, 0.0, 255.0, 255.0),
            (Colorimetry::parse("bt2020").ok(), 0.2627, 0.0593, 16.0, 219.0, 224.0),
        ] {
            video.colorimetry = colorimetry;
            let matrix = Matrix::of(&video);
            for (y, cb, cr) in [(16, 128, 128), (235, 128, 128), (82, 90, 240), (145, 54, 34), (41, 240, 110)]
            {
                let found = matrix.rgb(y, cb, cr);
                let (y, cb, cr) = (
                    (f64::from(y) - black) / luma,
                    (f64::from(cb) - 128.0) / chroma,
                    (f64::from(cr) - 128.0) / chroma,
                );
                let r = y + 2.0 * (1.0 - red) * cr;
                let b = y + 2.0 * (1.0 - blue) * cb;
                let g = (y - red * r - blue * b) / (1.0 - red - blue);
                for (found, exact) in found.into_iter().zip([r, g, b]) {
                    assert!((f64::from(found) - (exact * 255.0).clamp(0.0, 255.0)).abs() <= 0.6);
                }
            }
        }
    }
}
