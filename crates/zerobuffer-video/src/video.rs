//! What a stream of raw pictures is: format, size, rate, fields, colour.
use crate::caps::{Structure, Value};
use crate::error::excerpt;
use crate::{Caps, ChromaSite, Colorimetry, Error, Format, Kind, Range, Rate, Result};

/// The media type of raw pictures.
pub(crate) const MEDIA: &str = "video/x-raw";

/// Which field of an interlaced picture is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOrder {
    /// The rows 0, 2, 4, …
    Top,
    /// The rows 1, 3, 5, …
    Bottom,
}

/// How the fields of a picture are stored: GStreamer's `interlace-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interlace {
    /// The whole picture is of one time.
    #[default]
    Progressive,
    /// Two fields in alternate rows; the order is `None` where it is not said.
    Interleaved(Option<FieldOrder>),
    /// Pictures of both kinds.
    Mixed,
    /// Two fields, stored as GStreamer's `fields` mode does.
    Fields,
    /// Each frame is one field, with half the rows.
    Alternate,
}

/// A stream of raw pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Video {
    /// The pixel format.
    pub format: Format,
    /// Pixels per row, 1 to 2^31 - 1.
    pub width: u32,
    /// Rows, 1 to 2^31 - 1.
    pub height: u32,
    /// Pictures per second; `None` when unknown or variable.
    pub rate: Option<Rate>,
    /// A pixel's width to its height, where said.
    pub aspect: Option<Rate>,
    /// How fields are stored.
    pub interlace: Interlace,
    /// Range, matrix, transfer and primaries, where said.
    pub colorimetry: Option<Colorimetry>,
    /// Where chroma samples sit, where said.
    pub chroma_site: Option<ChromaSite>,
}

impl Video {
    /// The most pixels per row, and the most rows: caps hold no more.
    pub(crate) const LARGEST: u32 = i32::MAX.unsigned_abs();

    /// Progressive pictures about which no more is known.
    pub fn new(format: Format, width: u32, height: u32) -> Result<Video> {
        for (field, value) in [("width", width), ("height", height)] {
            if value == 0 || value > Video::LARGEST {
                return Err(Error::Field { field, value: value.to_string(), expected: SIZE });
            }
        }
        Ok(Video {
            format,
            width,
            height,
            rate: None,
            aspect: None,
            interlace: Interlace::Progressive,
            colorimetry: None,
            chroma_site: None,
        })
    }

    /// Reads the first structure of `caps`; `None` if its media type is another one.
    pub fn from_caps(caps: &Caps) -> Result<Option<Video>> {
        let Some(structure) = caps.first().filter(|structure| structure.name() == MEDIA) else {
            return Ok(None);
        };
        let missing = |field| Error::CapsIncomplete { caps: excerpt(&caps.to_string()), field };
        let format = structure.get("format").ok_or_else(|| missing("format"))?;
        let format = Format::from_name(text("format", format)?)?;
        let size = |field| size(field, structure.get(field).ok_or_else(|| missing(field))?);
        let mut video = Video::new(format, size("width")?, size("height")?)?;
        video.rate = ratio(structure, "framerate")?;
        video.aspect = ratio(structure, "pixel-aspect-ratio")?;
        video.interlace = interlace(structure)?;
        if let Some(value) = structure.get("colorimetry") {
            video.colorimetry = Some(Colorimetry::parse(text("colorimetry", value)?)?);
        }
        if let Some(value) = structure.get("chroma-site") {
            video.chroma_site = ChromaSite::from_name(text("chroma-site", value)?);
        }
        Ok(Some(video))
    }

    /// Caps that say all of this.
    #[must_use]
    pub fn to_caps(&self) -> Caps {
        // GStreamer's way to say "unknown or variable" is 0/1.
        let rate = self.rate.map_or_else(|| String::from("0/1"), |rate| rate.to_string());
        let mut caps = Structure::new(MEDIA)
            .with("format", Value::string(self.format.name()))
            .with("width", Value::int(self.width.into()))
            .with("height", Value::int(self.height.into()));
        let mode = match self.interlace {
            Interlace::Progressive => None,
            Interlace::Interleaved(_) => Some("interleaved"),
            Interlace::Mixed => Some("mixed"),
            Interlace::Fields => Some("fields"),
            Interlace::Alternate => Some("alternate"),
        };
        if let Some(mode) = mode {
            caps = caps.with("interlace-mode", Value::string(mode));
        }
        if self.interlace == Interlace::Alternate {
            caps = caps.with_features("format:Interlaced");
        }
        if let Interlace::Interleaved(Some(order)) = self.interlace {
            caps = caps.with("field-order", Value::string(order.name()));
        }
        if let Some(aspect) = self.aspect {
            caps = caps.with("pixel-aspect-ratio", Value::fraction(&aspect.to_string()));
        }
        if let Some(site) = self.chroma_site {
            caps = caps.with("chroma-site", Value::string(site.name()));
        }
        if let Some(colorimetry) = self.colorimetry {
            caps = caps.with("colorimetry", Value::string(&colorimetry.to_string()));
        }
        caps.with("framerate", Value::fraction(&rate)).into()
    }

    /// Rows of one frame: half of the picture's where each frame is a field.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.interlace {
            Interlace::Alternate => self.height.div_ceil(2) as usize,
            _ => self.height as usize,
        }
    }

    /// What GStreamer takes for the colours of such pictures where nothing is said, but with this
    /// range.
    ///
    /// Caps cannot carry a range alone: GStreamer drops a colorimetry without a matrix.
    #[must_use]
    pub fn default_colorimetry(&self, range: Range) -> Colorimetry {
        let usual = match self.format.kind() {
            Kind::Rgb | Kind::Palette => Colorimetry::SRGB,
            Kind::Yuv if self.height > 576 => Colorimetry::BT709,
            Kind::Yuv => Colorimetry::BT601,
            Kind::Gray => Colorimetry { transfer: 0, primaries: 0, ..Colorimetry::BT601 },
        };
        Colorimetry { range, ..usual }
    }
}

impl FieldOrder {
    fn name(self) -> &'static str {
        match self {
            FieldOrder::Top => "top-field-first",
            FieldOrder::Bottom => "bottom-field-first",
        }
    }
}

const SIZE: &str = "a number of pixels from 1 to 2147483647";

fn size(field: &'static str, value: &Value) -> Result<u32> {
    let pixels = value.as_int().and_then(|value| u32::try_from(value).ok());
    pixels.ok_or_else(|| Error::Field { field, value: excerpt(&value.to_string()), expected: SIZE })
}

fn text<'a>(field: &'static str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| Error::Field {
        field,
        value: excerpt(&value.to_string()),
        expected: "one value, not a choice of several",
    })
}

/// A ratio of the caps; a part of 0 means unknown.
fn ratio(structure: &Structure, field: &'static str) -> Result<Option<Rate>> {
    let Some(value) = structure.get(field) else { return Ok(None) };
    let wrong =
        || Error::Field { field, value: excerpt(&value.to_string()), expected: "a fraction such as 25/1" };
    let (num, den) = value.as_fraction().ok_or_else(wrong)?;
    let (num, den) = (u32::try_from(num).map_err(|_| wrong())?, u32::try_from(den).map_err(|_| wrong())?);
    Ok(Rate::new(num, den))
}

fn interlace(structure: &Structure) -> Result<Interlace> {
    let order = || match structure.get("field-order").and_then(Value::as_str) {
        Some("top-field-first") => Some(FieldOrder::Top),
        Some("bottom-field-first") => Some(FieldOrder::Bottom),
        _ => None,
    };
    let Some(value) = structure.get("interlace-mode") else { return Ok(Interlace::Progressive) };
    Ok(match text("interlace-mode", value)? {
        "progressive" => Interlace::Progressive,
        "interleaved" => Interlace::Interleaved(order()),
        "mixed" => Interlace::Mixed,
        "fields" => Interlace::Fields,
        "alternate" => Interlace::Alternate,
        other => {
            return Err(Error::Field {
                field: "interlace-mode",
                value: excerpt(other),
                expected: "one of progressive, interleaved, mixed, fields, alternate",
            });
        }
    })
}
