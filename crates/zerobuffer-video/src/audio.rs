//! What a stream of raw sound is.
use crate::caps::{Structure, Value};
use crate::error::excerpt;
use crate::{Caps, Error, Result};

/// The media type of raw sound.
const MEDIA: &str = "audio/x-raw";

/// How one sample lies in memory: GStreamer's audio formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// GStreamer's name, such as `S16LE`.
    pub name: &'static str,
    /// `S`igned, `U`nsigned or `F`loating point.
    pub kind: char,
    /// Bytes of one sample.
    pub bytes: usize,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

const fn sample(name: &'static str, kind: char, bytes: usize, big_endian: bool) -> Sample {
    Sample { name, kind, bytes, big_endian }
}

const SAMPLES: &[Sample] = &[
    sample("S8", 'S', 1, false),
    sample("U8", 'U', 1, false),
    sample("S16LE", 'S', 2, false),
    sample("S16BE", 'S', 2, true),
    sample("U16LE", 'U', 2, false),
    sample("U16BE", 'U', 2, true),
    sample("S18LE", 'S', 3, false),
    sample("S18BE", 'S', 3, true),
    sample("U18LE", 'U', 3, false),
    sample("U18BE", 'U', 3, true),
    sample("S20LE", 'S', 3, false),
    sample("S20BE", 'S', 3, true),
    sample("U20LE", 'U', 3, false),
    sample("U20BE", 'U', 3, true),
    sample("S24LE", 'S', 3, false),
    sample("S24BE", 'S', 3, true),
    sample("U24LE", 'U', 3, false),
    sample("U24BE", 'U', 3, true),
    sample("S24_32LE", 'S', 4, false),
    sample("S24_32BE", 'S', 4, true),
    sample("U24_32LE", 'U', 4, false),
    sample("U24_32BE", 'U', 4, true),
    sample("S32LE", 'S', 4, false),
    sample("S32BE", 'S', 4, true),
    sample("U32LE", 'U', 4, false),
    sample("U32BE", 'U', 4, true),
    sample("F32LE", 'F', 4, false),
    sample("F32BE", 'F', 4, true),
    sample("F64LE", 'F', 8, false),
    sample("F64BE", 'F', 8, true),
];

/// A stream of raw sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audio {
    /// How one sample lies in memory.
    pub sample: Sample,
    /// Samples per second of each channel, 1 to 2^31 - 1; `None` where not said.
    pub rate: Option<u32>,
    /// Channels, 1 to 65535.
    pub channels: u32,
    /// Whether the channels' samples alternate; else each channel has a plane of its own.
    pub interleaved: bool,
}

impl Audio {
    /// Interleaved sound in the format that GStreamer calls `sample`.
    pub fn new(sample: &str, rate: Option<u32>, channels: u32) -> Result<Audio> {
        let known = SAMPLES.iter().find(|known| known.name == sample);
        let sample = *known.ok_or_else(|| Error::Field {
            field: "format",
            value: excerpt(sample),
            expected: "one of GStreamer's sample formats such as S16LE or F32LE",
        })?;
        if channels == 0 || channels > 65_535 {
            return Err(Error::Field {
                field: "channels",
                value: channels.to_string(),
                expected: "a number from 1 to 65535",
            });
        }
        if let Some(rate) = rate.filter(|rate| *rate == 0 || i32::try_from(*rate).is_err()) {
            return Err(Error::Field {
                field: "rate",
                value: rate.to_string(),
                expected: "a number from 1 to 2147483647",
            });
        }
        Ok(Audio { sample, rate, channels, interleaved: true })
    }

    /// Reads the first structure of `caps`; `None` if its media type is another one.
    pub fn from_caps(caps: &Caps) -> Result<Option<Audio>> {
        let Some(structure) = caps.first().filter(|structure| structure.name() == MEDIA) else {
            return Ok(None);
        };
        let Some(format) = structure.get("format").and_then(Value::as_str) else {
            return Err(Error::CapsIncomplete { caps: excerpt(&caps.to_string()), field: "format" });
        };
        let channels = count(structure, "channels")?.unwrap_or(1);
        let mut audio = Audio::new(format, count(structure, "rate")?, channels)?;
        audio.interleaved = match structure.get("layout").and_then(Value::as_str) {
            None | Some("interleaved") => true,
            Some("non-interleaved") => false,
            Some(other) => {
                return Err(Error::Field {
                    field: "layout",
                    value: excerpt(other),
                    expected: "interleaved or non-interleaved",
                });
            }
        };
        Ok(Some(audio))
    }

    /// Caps that say all of this.
    #[must_use]
    pub fn to_caps(&self) -> Caps {
        let layout = if self.interleaved { "interleaved" } else { "non-interleaved" };
        let mut caps = Structure::new(MEDIA)
            .with("format", Value::string(self.sample.name))
            .with("layout", Value::string(layout));
        if let Some(rate) = self.rate {
            caps = caps.with("rate", Value::int(rate.into()));
        }
        caps.with("channels", Value::int(self.channels.into())).into()
    }

    /// Bytes of one sample of all channels.
    #[must_use]
    pub fn step(&self) -> usize {
        self.sample.bytes * self.channels as usize
    }

    /// How many samples of each channel `size` bytes are.
    pub fn samples(&self, size: usize) -> Result<usize> {
        if size.is_multiple_of(self.step()) {
            return Ok(size / self.step());
        }
        Err(Error::FrameSize {
            size,
            what: format!("{} of {} channels", self.sample.name, self.channels),
            expected: format!("a multiple of {}", self.step()),
        })
    }
}

fn count(structure: &Structure, field: &'static str) -> Result<Option<u32>> {
    let Some(value) = structure.get(field) else { return Ok(None) };
    let number = value.as_int().and_then(|value| u32::try_from(value).ok()).filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| Error::Field {
        field,
        value: excerpt(&value.to_string()),
        expected: "a number above 0",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_there_and_back() {
        let caps =
            "audio/x-raw, format=(string)S16LE, layout=(string)interleaved, rate=(int)48000, channels=(int)2";
        let audio = Audio::from_caps(&Caps::parse(caps).unwrap()).unwrap().unwrap();
        assert_eq!((audio.rate, audio.channels, audio.step()), (Some(48_000), 2, 4));
        assert_eq!(audio.to_caps().to_string(), caps);
        assert_eq!(audio.samples(16), Ok(4));
        let message = audio.samples(17).unwrap_err().to_string();
        assert_eq!(message, "the frame has 17 bytes, but S16LE of 2 channels has a multiple of 4");
    }

    #[test]
    fn refusals() {
        for (caps, part) in [
            ("audio/x-raw", "have no format"),
            ("audio/x-raw, format=F8", "format is 'F8'"),
            ("audio/x-raw, format=S16LE, channels=0", "channels is '0'"),
            ("audio/x-raw, format=S16LE, channels=70000", "channels is '70000'"),
            ("audio/x-raw, format=S16LE, rate=-1", "rate is '-1'"),
            ("audio/x-raw, format=S16LE, rate=0", "rate is '0'"),
            // What GStreamer's rate cannot hold would be written and not be read again.
            ("audio/x-raw, format=S16LE, rate=(uint)3000000000", "rate is '3000000000'"),
            ("audio/x-raw, format=S16LE, layout=x", "layout is 'x'"),
        ] {
            let message = Audio::from_caps(&Caps::parse(caps).unwrap()).unwrap_err().to_string();
            assert!(message.contains(part), "{caps}: {message}");
        }
        assert_eq!(Audio::from_caps(&Caps::parse("video/x-raw").unwrap()), Ok(None));
        for rate in [0, 2_147_483_648, u32::MAX] {
            let message = Audio::new("S16LE", Some(rate), 2).unwrap_err().to_string();
            let expected = format!("rate is '{rate}' where a number from 1 to 2147483647 is needed");
            assert_eq!(message, expected);
        }
        let audio = Audio::new("S16LE", Some(2_147_483_647), 2).unwrap();
        let caps = Caps::parse(&audio.to_caps().to_string()).unwrap();
        assert_eq!(Audio::from_caps(&caps), Ok(Some(audio)));
    }
}
