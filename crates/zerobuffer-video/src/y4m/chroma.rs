//! The header's `C` parameter: which planes a frame has.
use crate::{ChromaSite, Format};

/// Which planes a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planes {
    /// Luma only.
    Mono,
    /// Luma and two chroma planes.
    Colour,
    /// Luma, two chroma planes and alpha at luma size.
    Alpha,
}

/// One value of the header's `C` parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Chroma {
    tag: &'static str,
    gstreamer: Option<&'static str>,
    planes: Planes,
    /// Luma columns and rows per chroma sample.
    step: (u64, u64),
    bytes_per_sample: u64,
}

const fn chroma(
    tag: &'static str,
    gstreamer: Option<&'static str>,
    planes: Planes,
    step: (u64, u64),
    bytes_per_sample: u64,
) -> Chroma {
    Chroma { tag, gstreamer, planes, step, bytes_per_sample }
}

/// Every chroma format known to mjpegtools or written by ffmpeg. The first with a given GStreamer
/// name is the one that `Chroma::from_format` gives back.
pub(super) const CHROMAS: &[Chroma] = &[
    chroma("420jpeg", Some("I420"), Planes::Colour, (2, 2), 1),
    chroma("420", Some("I420"), Planes::Colour, (2, 2), 1),
    chroma("420mpeg2", Some("I420"), Planes::Colour, (2, 2), 1),
    chroma("420paldv", Some("I420"), Planes::Colour, (2, 2), 1),
    chroma("411", Some("Y41B"), Planes::Colour, (4, 1), 1),
    chroma("422", Some("Y42B"), Planes::Colour, (2, 1), 1),
    chroma("444", Some("Y444"), Planes::Colour, (1, 1), 1),
    chroma("444alpha", Some("A444"), Planes::Alpha, (1, 1), 1),
    chroma("mono", Some("GRAY8"), Planes::Mono, (1, 1), 1),
    chroma("mono9", None, Planes::Mono, (1, 1), 2),
    chroma("mono10", Some("GRAY10_LE16"), Planes::Mono, (1, 1), 2),
    chroma("mono12", None, Planes::Mono, (1, 1), 2),
    chroma("mono14", None, Planes::Mono, (1, 1), 2),
    chroma("mono16", Some("GRAY16_LE"), Planes::Mono, (1, 1), 2),
    chroma("420p9", None, Planes::Colour, (2, 2), 2),
    chroma("420p10", Some("I420_10LE"), Planes::Colour, (2, 2), 2),
    chroma("420p12", Some("I420_12LE"), Planes::Colour, (2, 2), 2),
    chroma("420p14", None, Planes::Colour, (2, 2), 2),
    chroma("420p16", None, Planes::Colour, (2, 2), 2),
    chroma("422p9", None, Planes::Colour, (2, 1), 2),
    chroma("422p10", Some("I422_10LE"), Planes::Colour, (2, 1), 2),
    chroma("422p12", Some("I422_12LE"), Planes::Colour, (2, 1), 2),
    chroma("422p14", None, Planes::Colour, (2, 1), 2),
    chroma("422p16", None, Planes::Colour, (2, 1), 2),
    chroma("444p9", None, Planes::Colour, (1, 1), 2),
    chroma("444p10", Some("Y444_10LE"), Planes::Colour, (1, 1), 2),
    chroma("444p12", Some("Y444_12LE"), Planes::Colour, (1, 1), 2),
    chroma("444p14", None, Planes::Colour, (1, 1), 2),
    chroma("444p16", Some("Y444_16LE"), Planes::Colour, (1, 1), 2),
];

impl Chroma {
    /// The format of this name.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<&'static Chroma> {
        CHROMAS.iter().find(|chroma| chroma.tag == tag)
    }

    /// The form that y4m has for a pixel format, with the chroma samples at `site` where it has
    /// names for that.
    #[must_use]
    pub fn from_format(format: Format, site: Option<ChromaSite>) -> Option<&'static Chroma> {
        let named = || CHROMAS.iter().filter(|chroma| chroma.gstreamer == Some(format.name()));
        named().find(|chroma| site.is_some() && chroma.site() == site).or_else(|| named().next())
    }

    /// The value as it stands in the header.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        self.tag
    }

    /// What GStreamer calls this format, where it has a name for it.
    #[must_use]
    pub fn gstreamer(&self) -> Option<&'static str> {
        self.gstreamer
    }

    /// Where the chroma samples sit, for the names that say so: plain `420` and other subsamplings
    /// do not.
    #[must_use]
    pub fn site(&self) -> Option<ChromaSite> {
        match self.tag {
            "420jpeg" => Some(ChromaSite::Jpeg),
            "420mpeg2" => Some(ChromaSite::Mpeg2),
            "420paldv" => Some(ChromaSite::Dv),
            _ => None,
        }
    }

    /// All names, for a message.
    pub(super) fn known() -> String {
        let tags: Vec<String> = CHROMAS.iter().map(|chroma| format!("C{}", chroma.tag)).collect();
        tags.join(", ")
    }

    /// Bytes of one frame; `None` if the product exceeds 2^64.
    pub(super) fn frame_size(&self, width: u64, height: u64) -> Option<u64> {
        let luma = width.checked_mul(height)?;
        let plane = width.div_ceil(self.step.0).checked_mul(height.div_ceil(self.step.1))?;
        let samples = match self.planes {
            Planes::Mono => luma,
            Planes::Colour => luma.checked_add(plane.checked_mul(2)?)?,
            Planes::Alpha => luma.checked_mul(2)?.checked_add(plane.checked_mul(2)?)?,
        };
        samples.checked_mul(self.bytes_per_sample)
    }
}
