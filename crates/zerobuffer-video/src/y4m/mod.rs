//! The YUV4MPEG2 stream header: what it says about the frames, and how many bytes each has.
mod chroma;

use crate::error::printable;
use crate::rate::digits;
use crate::{ChromaSite, Error, FieldOrder, Format, Interlace, Range, Rate, Result, Video};

pub use chroma::Chroma;

/// First bytes of every y4m stream.
pub const MAGIC: &str = "YUV4MPEG2";
/// First bytes of every frame's line.
pub const FRAME: &str = "FRAME";
/// Longest stream header or FRAME line accepted; real ones stay below 200 bytes.
pub const MAX_LINE: usize = 2048;

/// A parsed stream header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The header line as read, without its line feed.
    pub line: String,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames per second, where said.
    pub rate: Option<Rate>,
    /// Pixel aspect ratio, where said.
    pub aspect: Option<Rate>,
    /// How fields are stored.
    pub interlace: Interlace,
    /// The chroma format.
    pub chroma: &'static Chroma,
    /// What the comment `XCOLORRANGE` says.
    pub range: Range,
    /// Bytes of one frame, without its FRAME line.
    pub frame_size: u64,
}

impl Header {
    /// Parses a header line (without line feed). The error says what is wrong with it, not where it
    /// came from.
    pub fn parse(line: &str) -> Result<Header> {
        Header::read(line).map_err(|why| Error::Y4m(printable(&why)))
    }

    fn read(line: &str) -> Result<Header, String> {
        if line.len() > MAX_LINE || line.contains('\n') {
            return Err(format!("it is not one line of at most {MAX_LINE} bytes"));
        }
        let mut words = line.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(format!("it does not start with '{MAGIC} '"));
        }
        let (mut width, mut height) = (None, None);
        let (mut rate, mut aspect) = (None, None);
        let mut interlace = Interlace::Progressive;
        let mut range = Range::Unknown;
        let mut tag = "420jpeg";
        for word in words.filter(|word| !word.is_empty()) {
            let mut chars = word.chars();
            let key = chars.next();
            let value = chars.as_str();
            match key {
                Some('W') => width = Some(dimension(word, value)?),
                Some('H') => height = Some(dimension(word, value)?),
                Some('F') => rate = ratio(word, value)?,
                Some('A') => aspect = ratio(word, value)?,
                Some('C') => tag = value,
                Some('I') => interlace = fields(word, value)?,
                Some('X') => match value {
                    "COLORRANGE=FULL" => range = Range::Full,
                    "COLORRANGE=LIMITED" => range = Range::Limited,
                    _ => {}
                },
                // Parameters unknown to the format's description do not change the layout.
                _ => {}
            }
        }
        let width = width.ok_or("it has no width (W)")?;
        let height = height.ok_or("it has no height (H)")?;
        let chroma = Chroma::from_tag(tag)
            .ok_or_else(|| format!("chroma format 'C{tag}' is not one of {}", Chroma::known()))?;
        let frame_size = chroma
            .frame_size(width.into(), height.into())
            .ok_or_else(|| format!("a frame of {width} x {height} exceeds 2^64 bytes"))?;
        let line = line.to_owned();
        Ok(Header { line, width, height, rate, aspect, interlace, chroma, range, frame_size })
    }

    /// Writes a header for pictures that never were y4m; `None` if y4m has no form for them.
    #[must_use]
    pub fn from_video(video: &Video) -> Option<Header> {
        let interlace = match video.interlace {
            Interlace::Progressive => "p",
            Interlace::Interleaved(Some(FieldOrder::Top)) => "t",
            Interlace::Interleaved(Some(FieldOrder::Bottom)) => "b",
            Interlace::Interleaved(None) => "?",
            Interlace::Mixed => "m",
            Interlace::Fields | Interlace::Alternate => return None,
        };
        let tag = Chroma::from_format(video.format, video.chroma_site)?.tag();
        let ratio = |ratio: Option<Rate>| {
            ratio.map_or_else(|| String::from("0:0"), |ratio| format!("{}:{}", ratio.num(), ratio.den()))
        };
        let range = match video.colorimetry.map(|colorimetry| colorimetry.range) {
            Some(Range::Full) => " XCOLORRANGE=FULL",
            Some(Range::Limited) => " XCOLORRANGE=LIMITED",
            _ => "",
        };
        let (width, height) = (video.width, video.height);
        let (rate, aspect) = (ratio(video.rate), ratio(video.aspect));
        Header::parse(&format!("{MAGIC} W{width} H{height} F{rate} I{interlace} A{aspect} C{tag}{range}"))
            .ok()
    }

    /// The same pictures in GStreamer's terms; `None` if it has no name for their format.
    #[must_use]
    pub fn video(&self) -> Option<Video> {
        let format = Format::from_name(self.chroma.gstreamer()?).ok()?;
        let mut video = Video::new(format, self.width, self.height).ok()?;
        video.rate = self.rate;
        video.aspect = self.aspect;
        video.interlace = self.interlace;
        video.chroma_site = self.chroma.site();
        video.colorimetry = match self.range {
            Range::Unknown => None,
            range => Some(video.default_colorimetry(range)),
        };
        Some(video)
    }

    /// Where said in the header, the place of the chroma samples.
    #[must_use]
    pub fn chroma_site(&self) -> Option<ChromaSite> {
        self.chroma.site()
    }
}

fn fields(word: &str, value: &str) -> Result<Interlace, String> {
    match value {
        "p" | "?" => Ok(Interlace::Progressive),
        "t" => Ok(Interlace::Interleaved(Some(FieldOrder::Top))),
        "b" => Ok(Interlace::Interleaved(Some(FieldOrder::Bottom))),
        "m" => Ok(Interlace::Mixed),
        _ => Err(format!("'{word}' is not one of Ip, It, Ib, Im, I?")),
    }
}

fn dimension(word: &str, value: &str) -> Result<u32, String> {
    match digits(value) {
        Some(0) => Err(format!("'{word}' leaves no pixels")),
        Some(value @ 1..=Video::LARGEST) => Ok(value),
        _ => Err(format!("'{word}' is not a number of pixels up to {}", Video::LARGEST)),
    }
}

fn ratio(word: &str, value: &str) -> Result<Option<Rate>, String> {
    let part = |text| digits(text).filter(|part| *part <= Rate::MOST);
    let parts = value.split_once(':').and_then(|(num, den)| Some((part(num)?, part(den)?)));
    let (num, den) =
        parts.ok_or_else(|| format!("'{word}' is not a ratio of two numbers up to {}", Rate::MOST))?;
    Ok(Rate::new(num, den))
}

#[cfg(test)]
mod tests;
