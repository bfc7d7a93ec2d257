//! Pixel formats by GStreamer's names.
mod table;

use std::fmt;

use crate::Error;
use crate::error::excerpt;
use table::FORMATS;

/// What the components of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Red, green, blue.
    Rgb,
    /// Luma and two chroma components.
    Yuv,
    /// Luma only.
    Gray,
    /// Numbers of colours that stand in a second plane.
    Palette,
}

/// How one component lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Samples {
    /// One byte each.
    U8,
    /// Two bytes each, little-endian.
    U16Le,
    /// Two bytes each, big-endian.
    U16Be,
    /// Components share bytes: only the bytes of a row can be distinguished.
    Packed,
}

impl Samples {
    /// Bytes of one sample; 1 for packed rows.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Samples::U8 | Samples::Packed => 1,
            Samples::U16Le | Samples::U16Be => 2,
        }
    }
}

/// One plane of a format: how its row bytes and rows follow from the picture's size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlaneSpec {
    /// Pixels of a row that share `bytes`.
    pub(crate) pixels: usize,
    pub(crate) bytes: usize,
    /// Picture rows per row of this plane; 0: a palette of 256 rows, whatever the picture.
    pub(crate) rows: usize,
    /// A group that is begun takes only the bytes that its pixels need.
    pub(crate) partial: bool,
    /// A row has an even number of pixels.
    pub(crate) even: bool,
}

/// How many rows GStreamer allocates for a plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// For whole chroma rows; of interlaced pictures also for whole pairs of chroma rows.
    Usual,
    /// For whole chroma rows.
    Rows,
    /// An even number, whatever the planes are.
    Even,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) alpha: bool,
    /// Significant bits of the largest component.
    pub(crate) bits: u8,
    pub(crate) samples: Samples,
    /// GStreamer makes each row's bytes a multiple of this.
    pub(crate) align: usize,
    pub(crate) padding: Padding,
    pub(crate) planes: &'static [PlaneSpec],
}

/// A pixel format of the table: all of GStreamer 1.22 but its tiled ones, and some that came later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Format(&'static Spec);

impl Format {
    /// The format that GStreamer calls `name`.
    pub fn from_name(name: &str) -> Result<Format, Error> {
        Format::all()
            .find(|format| format.name() == name)
            .ok_or_else(|| Error::UnknownFormat { name: excerpt(name), known: FORMATS.len() })
    }

    /// Every format of the table.
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.iter().map(Format)
    }

    /// GStreamer's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What the components of a pixel are.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.0.kind
    }

    /// Whether pixels have an alpha component.
    #[must_use]
    pub fn has_alpha(self) -> bool {
        self.0.alpha
    }

    /// Significant bits of the largest component.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0.bits
    }

    /// How one component lies in memory.
    #[must_use]
    pub fn samples(self) -> Samples {
        self.0.samples
    }

    /// How many planes the picture has.
    #[must_use]
    pub fn planes(self) -> usize {
        self.0.planes.len()
    }

    /// Components that each pixel has side by side, where the only plane consists of whole pixels:
    /// 3 for `RGB`, 2 for `YUY2`, 1 for `GRAY8`. `None` for formats of several planes and for
    /// packed ones.
    #[must_use]
    pub fn components(self) -> Option<usize> {
        match self.0.planes {
            [plane] if self.0.samples != Samples::Packed && plane.pixels == 1 => {
                Some(plane.bytes / self.0.samples.bytes())
            }
            _ => None,
        }
    }

    pub(crate) fn spec(self) -> &'static Spec {
        self.0
    }

    /// Whether chroma has fewer samples than luma.
    pub(crate) fn halves_rows(self) -> bool {
        self.0.planes.iter().any(|plane| plane.rows == 2)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for format in Format::all() {
            assert_eq!(Format::from_name(format.name()), Ok(format));
            assert!((1..=4).contains(&format.planes()));
        }
        assert_eq!(FORMATS.len(), 109);
        assert_eq!(
            Format::from_name("rgb\n").unwrap_err().to_string(),
            "pixel format 'rgb\\n' is not known; known are 109 of GStreamer's formats, among them I420, NV12, RGB, BGR, GRAY8"
        );
    }

    #[test]
    fn components() {
        let components = |name| Format::from_name(name).unwrap().components();
        for (name, count) in
            [("RGB", 3), ("BGRA", 4), ("GRAY8", 1), ("GRAY16_BE", 1), ("YUY2", 2), ("ARGB64", 4)]
        {
            assert_eq!(components(name), Some(count), "{name}");
        }
        for name in ["I420", "NV12", "v210", "RGB16", "RGB8P"] {
            assert_eq!(components(name), None, "{name}");
        }
    }
}
