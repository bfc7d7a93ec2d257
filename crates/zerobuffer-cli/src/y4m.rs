//! The YUV4MPEG2 stream header: what it says about the frames, and how many bytes each has.
use crate::rate::Rate;

/// First bytes of every y4m stream.
pub(crate) const MAGIC: &str = "YUV4MPEG2";
/// First bytes of every frame's line.
pub(crate) const FRAME: &str = "FRAME";
/// Longest stream header or FRAME line accepted; real ones stay below 200 bytes.
pub(crate) const MAX_LINE: usize = 2048;

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
pub(crate) struct Chroma {
    /// The value as it stands in the header.
    pub(crate) tag: &'static str,
    /// What GStreamer calls this format, where it has a name for it.
    pub(crate) gstreamer: Option<&'static str>,
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

/// Every chroma format known to mjpegtools or written by ffmpeg. The first with a given GStreamer name is the one that
/// `from_gstreamer` gives back.
const CHROMAS: &[Chroma] = &[
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
    fn from_tag(tag: &str) -> Option<&'static Chroma> {
        CHROMAS.iter().find(|chroma| chroma.tag == tag)
    }

    /// The format that GStreamer calls `name`.
    pub(crate) fn from_gstreamer(name: &str) -> Option<&'static Chroma> {
        CHROMAS.iter().find(|chroma| chroma.gstreamer == Some(name))
    }

    /// Bytes of one frame; `None` if the product exceeds 2^64.
    fn frame_size(&self, width: u64, height: u64) -> Option<u64> {
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

/// How fields are stored: the header's `I` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interlace {
    /// `Ip`, `I?` or absent.
    Progressive,
    /// `It` or `Ib`.
    Interleaved,
    /// `Im`: each FRAME line says.
    Mixed,
}

/// A parsed stream header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The header line as read, without its line feed.
    pub(crate) line: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rate: Option<Rate>,
    /// Pixel aspect ratio, when the stream says one.
    pub(crate) aspect: Option<Rate>,
    pub(crate) interlace: Interlace,
    pub(crate) chroma: &'static Chroma,
    /// Bytes of one frame, without its FRAME line.
    pub(crate) frame_size: u64,
}

impl Header {
    /// Parses a header line (without line feed). The error says what is wrong with it, not where it came from.
    pub(crate) fn parse(line: &str) -> Result<Header, String> {
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
                Some('I') => {
                    interlace = match value {
                        "p" | "?" => Interlace::Progressive,
                        "t" | "b" => Interlace::Interleaved,
                        "m" => Interlace::Mixed,
                        _ => return Err(format!("'{word}' is not one of Ip, It, Ib, Im, I?")),
                    }
                }
                // X carries comments; parameters unknown to the format's description do not change the layout.
                _ => {}
            }
        }
        let width = width.ok_or("it has no width (W)")?;
        let height = height.ok_or("it has no height (H)")?;
        let chroma = Chroma::from_tag(tag).ok_or_else(|| {
            let known: Vec<&str> = CHROMAS.iter().map(|chroma| chroma.tag).collect();
            format!("chroma format 'C{tag}' is not one of C{}", known.join(", C"))
        })?;
        let frame_size = chroma
            .frame_size(width.into(), height.into())
            .ok_or_else(|| format!("a frame of {width} x {height} exceeds 2^64 bytes"))?;
        Ok(Header { line: line.to_owned(), width, height, rate, aspect, interlace, chroma, frame_size })
    }

    /// Writes a header for a stream that never was y4m.
    pub(crate) fn build(
        width: u32,
        height: u32,
        rate: Option<Rate>,
        chroma: &Chroma,
    ) -> Result<Header, String> {
        let rate = rate.map_or_else(|| String::from("0:0"), |rate| format!("{}:{}", rate.num, rate.den));
        Header::parse(&format!("{MAGIC} W{width} H{height} F{rate} Ip A0:0 C{}", chroma.tag))
    }
}

fn dimension(word: &str, value: &str) -> Result<u32, String> {
    match digits(value) {
        Some(0) => Err(format!("'{word}' leaves no pixels")),
        Some(value) => Ok(value),
        None => Err(format!("'{word}' is not a number of pixels")),
    }
}

fn ratio(word: &str, value: &str) -> Result<Option<Rate>, String> {
    let parts = value.split_once(':').and_then(|(num, den)| Some((digits(num)?, digits(den)?)));
    let (num, den) = parts.ok_or_else(|| format!("'{word}' is not a ratio of two numbers"))?;
    Ok(Rate::new(num, den))
}

/// A decimal number without sign: `u32::from_str` alone would take `+5`.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(line: &str) -> u64 {
        Header::parse(line).unwrap().frame_size
    }

    #[test]
    fn frame_sizes() {
        for (line, bytes) in [
            ("YUV4MPEG2 W1920 H1080", 3_110_400),
            ("YUV4MPEG2 W1920 H1080 C420", 3_110_400),
            ("YUV4MPEG2 W1920 H1080 C422", 4_147_200),
            ("YUV4MPEG2 W1920 H1080 C444", 6_220_800),
            ("YUV4MPEG2 W1920 H1080 C444alpha", 8_294_400),
            ("YUV4MPEG2 W1920 H1080 C411", 3_110_400),
            ("YUV4MPEG2 W1920 H1080 Cmono", 2_073_600),
            ("YUV4MPEG2 W1920 H1080 Cmono16", 4_147_200),
            ("YUV4MPEG2 W1920 H1080 C420p10", 6_220_800),
            ("YUV4MPEG2 W1920 H1080 C444p16", 12_441_600),
            ("YUV4MPEG2 W1 H1", 3),
            ("YUV4MPEG2 W3 H5 C420", 15 + 2 * 2 * 3),
            ("YUV4MPEG2 W3 H5 C422", 15 + 2 * 2 * 5),
            ("YUV4MPEG2 W5 H3 C411", 15 + 2 * 2 * 3),
            ("YUV4MPEG2 W3 H5 C444p9", 90),
            ("YUV4MPEG2 W3 H5 C420p12", 2 * 27),
        ] {
            assert_eq!(size(line), bytes, "{line}");
        }
    }

    #[test]
    fn a_header_of_ffmpeg() {
        let line =
            "YUV4MPEG2 W176 H144 F30000:1001 It A128:117 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED";
        let header = Header::parse(line).unwrap();
        assert_eq!((header.width, header.height, header.frame_size), (176, 144, 38_016));
        assert_eq!(header.rate, Rate::new(30000, 1001));
        assert_eq!(header.aspect, Rate::new(128, 117));
        assert_eq!(header.interlace, Interlace::Interleaved);
        assert_eq!(header.chroma.gstreamer, Some("I420"));
        assert_eq!(header.line, line);
        let unknown = Header::parse("YUV4MPEG2 W2 H2 F0:0 A0:0").unwrap();
        assert_eq!((unknown.rate, unknown.aspect), (None, None));
    }

    #[test]
    fn refusals() {
        for (line, part) in [
            ("", "does not start"),
            ("YUV4MPEG2 W2 H2\nFRAME", "not one line"),
            ("YUV4MPEG", "does not start"),
            ("YUV4MPEG22 W2 H2", "does not start"),
            ("YUV4MPEG2", "no width"),
            ("YUV4MPEG2 W2", "no height"),
            ("YUV4MPEG2 W0 H2", "'W0' leaves no pixels"),
            ("YUV4MPEG2 W2 H-2", "'H-2' is not a number"),
            ("YUV4MPEG2 W+2 H2", "'W+2' is not a number"),
            ("YUV4MPEG2 W2 H99999999999", "is not a number"),
            ("YUV4MPEG2 W2 H2 F25", "'F25' is not a ratio"),
            ("YUV4MPEG2 W2 H2 F25:", "is not a ratio"),
            ("YUV4MPEG2 W2 H2 Ax:1", "'Ax:1' is not a ratio"),
            ("YUV4MPEG2 W2 H2 Iz", "'Iz' is not one of"),
            ("YUV4MPEG2 W2 H2 C421", "'C421' is not one of C420jpeg, "),
            ("YUV4MPEG2 W4294967295 H4294967295 C444p16", "exceeds 2^64"),
        ] {
            let message = Header::parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn built_headers_parse_back() {
        for chroma in CHROMAS {
            let header = Header::build(3, 5, Rate::new(25, 1), chroma).unwrap();
            assert_eq!(header.chroma, chroma);
            assert_eq!(header.rate, Rate::new(25, 1));
        }
    }
}
