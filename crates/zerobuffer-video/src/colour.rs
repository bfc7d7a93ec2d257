//! Colour: range, matrix, transfer, primaries, and where chroma samples sit.
use std::fmt;

use crate::Error;
use crate::error::excerpt;

/// Which code values stand for black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Not said.
    #[default]
    Unknown,
    /// 0 to 255 (of 8 bits).
    Full,
    /// 16 to 235 (of 8 bits), 240 for chroma.
    Limited,
}

/// GStreamer's `colorimetry`: a name such as `bt709`, or four numbers
/// `range:matrix:transfer:primaries`.
///
/// The numbers are GStreamer's enumerations; 0 is unknown throughout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colorimetry {
    /// Which code values stand for black and white.
    pub range: Range,
    /// How RGB becomes luma and chroma: one of the `MATRIX_` constants.
    pub matrix: u8,
    /// The transfer function; 5 is BT.709, 7 sRGB, 16 BT.601.
    pub transfer: u8,
    /// The primaries; 1 is BT.709, 4 SMPTE 170M, 7 BT.2020.
    pub primaries: u8,
}

/// Names that stand for four numbers, as GStreamer 1.22 prints them.
const NAMES: [(&str, [u8; 4]); 8] = [
    ("bt601", [2, 4, 16, 4]),
    ("bt709", [2, 3, 5, 1]),
    ("smpte240m", [2, 5, 6, 5]),
    ("sRGB", [1, 1, 7, 1]),
    ("bt2020", [2, 6, 11, 7]),
    ("bt2020-10", [2, 6, 13, 7]),
    ("bt2100-pq", [2, 6, 14, 7]),
    ("bt2100-hlg", [2, 6, 15, 7]),
];

impl Colorimetry {
    /// Components are R, G and B themselves.
    pub const MATRIX_RGB: u8 = 1;
    /// FCC.
    pub const MATRIX_FCC: u8 = 2;
    /// ITU-R BT.709.
    pub const MATRIX_BT709: u8 = 3;
    /// ITU-R BT.601.
    pub const MATRIX_BT601: u8 = 4;
    /// SMPTE 240M.
    pub const MATRIX_SMPTE240M: u8 = 5;
    /// ITU-R BT.2020.
    pub const MATRIX_BT2020: u8 = 6;

    /// BT.601, limited range: standard definition.
    pub const BT601: Colorimetry = Colorimetry::of([2, 4, 16, 4]);
    /// BT.709, limited range: high definition.
    pub const BT709: Colorimetry = Colorimetry::of([2, 3, 5, 1]);
    /// sRGB, full range: computer pictures.
    pub const SRGB: Colorimetry = Colorimetry::of([1, 1, 7, 1]);

    const fn of(values: [u8; 4]) -> Colorimetry {
        let [range, matrix, transfer, primaries] = values;
        let range = match range {
            1 => Range::Full,
            2 => Range::Limited,
            _ => Range::Unknown,
        };
        Colorimetry { range, matrix, transfer, primaries }
    }

    fn values(self) -> [u8; 4] {
        let range = match self.range {
            Range::Unknown => 0,
            Range::Full => 1,
            Range::Limited => 2,
        };
        [range, self.matrix, self.transfer, self.primaries]
    }

    /// Reads a name or four numbers.
    pub fn parse(text: &str) -> Result<Colorimetry, Error> {
        if let Some((_, values)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Colorimetry::of(*values));
        }
        let mut parts = text.split(':').map(|part| part.parse::<u8>().ok());
        let mut next = || parts.next().flatten();
        let values = (next(), next(), next(), next());
        match values {
            (Some(range @ 0..=2), Some(matrix), Some(transfer), Some(primaries))
                if parts.next().is_none() =>
            {
                Ok(Colorimetry::of([range, matrix, transfer, primaries]))
            }
            _ => Err(Error::Field {
                field: "colorimetry",
                value: excerpt(text),
                expected: "a name such as bt709 or range:matrix:transfer:primaries",
            }),
        }
    }
}

impl fmt::Display for Colorimetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [range, matrix, transfer, primaries] = self.values();
        match NAMES.iter().find(|(_, named)| *named == self.values()) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{range}:{matrix}:{transfer}:{primaries}"),
        }
    }
}

/// Where the chroma samples of a subsampled picture sit: GStreamer's `chroma-site`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChromaSite {
    /// Between the luma samples both ways: `jpeg`.
    Jpeg,
    /// On the luma column, between the rows: `mpeg2`.
    Mpeg2,
    /// On the luma column and row, Cb and Cr in alternate rows: `dv`.
    Dv,
    /// On the luma row, between the columns: `v-cosited`.
    VCosited,
    /// On the luma column and row: `cosited`.
    Cosited,
    /// In alternate rows: `alt-line`.
    AltLine,
}

const SITES: [(ChromaSite, &str); 8] = [
    (ChromaSite::Jpeg, "jpeg"),
    (ChromaSite::Mpeg2, "mpeg2"),
    (ChromaSite::Dv, "dv"),
    (ChromaSite::VCosited, "v-cosited"),
    (ChromaSite::Cosited, "cosited"),
    (ChromaSite::AltLine, "alt-line"),
    // What GStreamer reads too and prints as the names above.
    (ChromaSite::Jpeg, "none"),
    (ChromaSite::Mpeg2, "h-cosited"),
];

impl ChromaSite {
    /// Reads GStreamer's name; `None` for `unknown` and names of nothing here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ChromaSite> {
        SITES.iter().find(|(_, known)| *known == name).map(|(site, _)| *site)
    }

    /// GStreamer's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        SITES.iter().find(|(site, _)| *site == self).map_or("unknown", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (name, values) in NAMES {
            assert_eq!(Colorimetry::parse(name).unwrap().values(), values);
            assert_eq!(Colorimetry::of(values).to_string(), name);
        }
        assert_eq!(Colorimetry::parse("2:3:5:1"), Ok(Colorimetry::BT709));
        assert_eq!(Colorimetry::parse("1:4:0:0").unwrap().to_string(), "1:4:0:0");
        for text in ["", "bt", "1:2:3", "1:2:3:4:5", "3:1:1:1", "1:1:1:256", "1:1:1:-1"] {
            assert!(Colorimetry::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sites() {
        for (site, name) in SITES {
            assert_eq!(ChromaSite::from_name(name), Some(site));
            assert_eq!(ChromaSite::from_name(site.name()), Some(site));
        }
        assert_eq!(ChromaSite::from_name("unknown"), None);
    }
}
