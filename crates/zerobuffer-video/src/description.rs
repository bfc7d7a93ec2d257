//! The metadata block: one JSON document that says what a stream's frames are.
use serde_json::{Map, Value, json};

use crate::error::excerpt;
use crate::picture::Announcement;
use crate::{Audio, Caps, Error, Layout, Picture, Result, Stamp, Video, y4m};

/// What the frames of a stream are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Nothing is said, or something of which this crate knows no more than the caps' text.
    #[default]
    Unknown,
    /// Raw pictures.
    Video(Video),
    /// Raw sound.
    Audio(Audio),
}

/// The clock of the stamps' times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Time within the stream, counted from an arbitrary start: GStreamer's PTS.
    Pts,
    /// The machine's monotonic clock.
    Monotonic,
    /// Nanoseconds since 1970, UTC.
    Realtime,
}

const CLOCKS: [(Clock, &str); 3] =
    [(Clock::Pts, "pts"), (Clock::Monotonic, "monotonic"), (Clock::Realtime, "realtime")];

/// The contents of a metadata block. Every part may be missing, since any program may have written
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Key `type`: what kind of program wrote it.
    pub kind: Option<String>,
    /// Key `version`: that program's version.
    pub version: Option<String>,
    /// Key `element_name`: which part of that program.
    pub element_name: Option<String>,
    /// Key `caps`, as written.
    pub caps: Option<String>,
    /// What the caps, or the keys that stand in for them, say.
    pub content: Content,
    /// Key `strides`: bytes from row to row of each plane, where the sender says so.
    pub strides: Option<Vec<u64>>,
    /// Key `offsets`: where each plane begins, behind the stamp.
    pub offsets: Option<Vec<u64>>,
    /// Key `frame_size`: bytes of each frame behind the stamp.
    pub frame_size: Option<u64>,
    /// Key `frame_prefix`: whether each frame begins with a stamp; `None` where it is not said.
    pub stamped: Option<bool>,
    /// Key `clock`: of which clock the stamps' times are.
    pub clock: Option<Clock>,
    /// Key `y4m`: the header of the y4m stream that the frames come from.
    pub y4m: Option<y4m::Header>,
    /// Key `y4m_frame`: what stands behind `FRAME` on every frame's line, with its leading space.
    pub y4m_frame: String,
}

impl Description {
    /// Describes pictures with tight rows and without stamps.
    #[must_use]
    pub fn video(sender: &str, video: &Video) -> Description {
        let mut description = Description::sender(sender);
        description.caps = Some(video.to_caps().to_string());
        description.content = Content::Video(*video);
        description.stamped = Some(false);
        match Layout::tight(video) {
            Ok(layout) => description.laid_out(&layout),
            // Such a frame cannot be sent; its strides are not worth an error here.
            Err(_) => description,
        }
    }

    /// Describes sound without stamps.
    #[must_use]
    pub fn audio(sender: &str, audio: &Audio) -> Description {
        let mut description = Description::sender(sender);
        description.caps = Some(audio.to_caps().to_string());
        description.content = Content::Audio(*audio);
        description.stamped = Some(false);
        description
    }

    /// Describes the frames of a y4m stream whose FRAME lines all carry `parameters`.
    #[must_use]
    pub fn y4m(sender: &str, header: &y4m::Header, parameters: &str) -> Description {
        let mut description = match header.video() {
            Some(video) => Description::video(sender, &video),
            // No name there: say what it is instead of claiming another format.
            None => Description {
                caps: Some(format!(
                    "application/x-yuv4mpeg, y4mversion=(int)2, colorspace=(string){}, width=(int){}, height=(int){}",
                    header.chroma.tag(),
                    header.width,
                    header.height
                )),
                stamped: Some(false),
                ..Description::sender(sender)
            },
        };
        description.frame_size = Some(header.frame_size);
        description.y4m = Some(header.clone());
        parameters.clone_into(&mut description.y4m_frame);
        description
    }

    /// Describes frames by a caps string, and says nothing of rows and stamps. Caps of raw pictures
    /// or sound must be whole.
    ///
    /// `frame_size`: where all frames have one size.
    pub fn raw(sender: &str, caps: &str, frame_size: Option<u64>) -> Result<Description> {
        let content = content(caps)?;
        Ok(Description { content, ..Description::opaque(sender, caps, frame_size) })
    }

    /// Describes frames by text in the place of caps that nobody has looked at.
    #[must_use]
    pub fn opaque(sender: &str, caps: &str, frame_size: Option<u64>) -> Description {
        Description { caps: Some(caps.to_owned()), frame_size, ..Description::sender(sender) }
    }

    fn sender(sender: &str) -> Description {
        Description {
            kind: Some(sender.to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            element_name: Some(sender.to_owned()),
            ..Description::default()
        }
    }

    /// Announces the rows and planes of each picture.
    #[must_use]
    pub fn laid_out(mut self, layout: &Layout) -> Description {
        self.strides = Some(layout.planes().iter().map(|plane| plane.stride as u64).collect());
        self.offsets = Some(layout.planes().iter().map(|plane| plane.offset as u64).collect());
        self.frame_size = Some(layout.size() as u64);
        self
    }

    /// Announces that each frame begins with a stamp.
    #[must_use]
    pub fn stamped(mut self) -> Description {
        self.stamped = Some(true);
        self
    }

    /// Announces the clock of the stamps' times.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Description {
        self.clock = Some(clock);
        self
    }

    /// The JSON for the metadata block.
    ///
    /// The keys beside the caps say again what the caps say, for readers that do not parse them.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        };
        put("type", self.kind.clone().map(Value::from));
        put("version", self.version.clone().map(Value::from));
        put("caps", self.caps.clone().map(Value::from));
        put("element_name", self.element_name.clone().map(Value::from));
        if let Content::Video(video) = &self.content {
            put("width", Some(video.width.into()));
            put("height", Some(video.height.into()));
            put("format", Some(video.format.name().into()));
            put("framerate", video.rate.map(|rate| json!([rate.num(), rate.den()])));
            put("colorimetry", video.colorimetry.map(|colorimetry| colorimetry.to_string().into()));
        }
        put("strides", self.strides.clone().map(Value::from));
        put("offsets", self.offsets.clone().map(Value::from));
        put("frame_size", self.frame_size.map(Value::from));
        put("frame_prefix", self.stamped.map(|stamped| if stamped { Stamp::SIZE } else { 0 }.into()));
        let clock = CLOCKS.iter().find(|(clock, _)| self.clock == Some(*clock));
        put("clock", clock.map(|(_, name)| Value::from(*name)));
        put("y4m", self.y4m.as_ref().map(|header| Value::from(header.line.clone())));
        put("y4m_frame", (!self.y4m_frame.is_empty()).then(|| Value::from(self.y4m_frame.clone())));
        Value::Object(object).to_string().into_bytes()
    }

    /// Reads a metadata block.
    ///
    /// A block that is neither JSON nor caps describes nothing, which is no error. An error is what
    /// claims to describe raw pictures or sound and is wrong or contradicts itself.
    pub fn parse(metadata: &[u8]) -> Result<Description> {
        Description::read(metadata, content)
    }

    /// Reads a metadata block as [`Description::parse`] does, but takes pictures of any format.
    ///
    /// Of those whose format is not in the table, such as a tiled one, no more is known than the
    /// caps' text.
    pub fn parse_any_format(metadata: &[u8]) -> Result<Description> {
        Description::read(metadata, |caps| match content(caps) {
            Err(Error::UnknownFormat { .. }) => Ok(Content::Unknown),
            content => content,
        })
    }

    fn read(metadata: &[u8], content: fn(&str) -> Result<Content>) -> Result<Description> {
        let Some(object) = object(metadata) else {
            // A bare caps string.
            let text =
                std::str::from_utf8(metadata).unwrap_or_default().trim_matches(['\0', ' ', '\n', '\r']);
            let content = content(text)?;
            let caps = (content != Content::Unknown).then(|| text.to_owned());
            return Ok(Description { caps, content, ..Description::default() });
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let mut description = Description {
            kind: text("type").map(str::to_owned),
            version: text("version").map(str::to_owned),
            element_name: text("element_name").map(str::to_owned),
            ..Description::default()
        };
        description.read_content(&object, content)?;
        description.read_frames(&object)?;
        Ok(description)
    }

    /// Reads what the frames are: `caps`, or the keys in its place.
    fn read_content(
        &mut self,
        object: &Map<String, Value>,
        content: fn(&str) -> Result<Content>,
    ) -> Result<()> {
        // Existing clients write an object in place of the caps string now and then.
        let (fields, said) = match object.get("caps") {
            Some(Value::String(caps)) => {
                self.caps = Some(caps.clone());
                self.content = content(caps)?;
                (object, self.content != Content::Unknown)
            }
            Some(Value::Object(fields)) => (fields, false),
            _ => (object, false),
        };
        let key = |name: &str| fields.get(name).filter(|value| value.is_string() || value.is_u64());
        let (Some(format), Some(width), Some(height)) = (key("format"), key("width"), key("height")) else {
            return Ok(());
        };
        if said {
            return self.agree([("format", format), ("width", width), ("height", height)]);
        }
        if self.caps.is_some() {
            // Caps of another kind: these keys may mean anything.
            return Ok(());
        }
        let size = |field, value: &Value| {
            value
                .as_u64()
                .and_then(|value| u32::try_from(value).ok())
                .ok_or_else(|| wrong(field, value, "a number of pixels"))
        };
        let name = format.as_str().ok_or_else(|| wrong("format", format, "a name such as RGB"))?;
        let mut video =
            Video::new(crate::Format::from_name(name)?, size("width", width)?, size("height", height)?)?;
        if let Some(Value::Array(rate)) = fields.get("framerate") {
            let part =
                |index| rate.get(index).and_then(Value::as_u64).and_then(|part| u32::try_from(part).ok());
            video.rate = part(0).zip(part(1)).and_then(|(num, den)| crate::Rate::new(num, den));
        }
        self.content = Content::Video(video);
        Ok(())
    }

    /// Checks that keys beside the caps say what the caps say.
    fn agree(&self, keys: [(&'static str, &Value); 3]) -> Result<()> {
        let Content::Video(video) = &self.content else { return Ok(()) };
        let said = [json!(video.format.name()), json!(video.width), json!(video.height)];
        for ((field, key), caps) in keys.into_iter().zip(said) {
            if *key != caps {
                let (caps, key) = (caps.to_string(), excerpt(&key.to_string()));
                return Err(Error::Contradiction { field, caps, key });
            }
        }
        Ok(())
    }

    /// Reads how the bytes of each frame lie.
    fn read_frames(&mut self, object: &Map<String, Value>) -> Result<()> {
        let numbers = |key: &'static str| -> Result<Option<Vec<u64>>> {
            let Some(value) = object.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
            let list = value
                .as_array()
                .and_then(|list| list.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
            list.map(Some).ok_or_else(|| wrong(key, value, "a list with one number of bytes for each plane"))
        };
        // The names are common ones: without pictures they may mean anything.
        if matches!(self.content, Content::Video(_)) {
            self.strides = numbers("strides")?;
            self.offsets = numbers("offsets")?;
        }
        self.frame_size = object.get("frame_size").and_then(Value::as_u64);
        self.stamped = match object.get("frame_prefix") {
            None | Some(Value::Null) => None,
            Some(value) => match value.as_u64() {
                Some(0) => Some(false),
                Some(24) => Some(true),
                _ => return Err(wrong("frame_prefix", value, "0 or 24")),
            },
        };
        let clock = object.get("clock").and_then(Value::as_str);
        self.clock = CLOCKS.iter().find(|(_, name)| Some(*name) == clock).map(|(clock, _)| *clock);
        if let Some(line) = object.get("y4m").and_then(Value::as_str) {
            let header = y4m::Header::parse(line)
                .map_err(|why| Error::Y4m(format!("its 'y4m' key is wrong: {why}")))?;
            let parameters = object.get("y4m_frame").and_then(Value::as_str).unwrap_or_default();
            let fits = parameters.is_empty() || parameters.starts_with(' ');
            if !fits || parameters.contains('\n') || parameters.len() > y4m::MAX_LINE {
                return Err(Error::Y4m(String::from("its 'y4m_frame' key is not the rest of a FRAME line")));
            }
            parameters.clone_into(&mut self.y4m_frame);
            self.y4m = Some(header);
        }
        Ok(())
    }

    /// Where stamp and planes are in a frame of `size` bytes, if the frames are pictures.
    pub fn picture(&self, size: usize) -> Result<Picture> {
        let Content::Video(video) = &self.content else {
            return Err(Error::CapsIncomplete {
                caps: excerpt(self.caps.as_deref().unwrap_or_default()),
                field: "raw pictures",
            });
        };
        let announced = Announcement {
            strides: self.strides.as_deref(),
            offsets: self.offsets.as_deref(),
            stamped: self.stamped,
        };
        Picture::recognise(video, announced, size)
    }
}

/// The JSON object in a metadata block. Some writers pad it with zeros.
fn object(metadata: &[u8]) -> Option<Map<String, Value>> {
    let start = metadata.iter().position(|b| *b == b'{')?;
    let end = metadata.iter().rposition(|b| *b == b'}')?;
    let padding = |part: Option<&[u8]>| {
        part.is_some_and(|part| part.iter().all(|b| *b == 0 || b.is_ascii_whitespace()))
    };
    // Text around it makes it something else: caps contain braces too.
    if !padding(metadata.get(..start)) || !padding(metadata.get(end + 1..)) {
        return None;
    }
    match serde_json::from_slice(metadata.get(start..=end)?) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// What a caps string describes. Text that does not begin like caps of raw pictures or sound is
/// nothing that can be wrong.
fn content(caps: &str) -> Result<Content> {
    let raw = |media: &str| caps.trim_start().starts_with(media);
    let claims = raw("video/x-raw") || raw("audio/x-raw");
    let caps = match Caps::parse(caps) {
        Ok(caps) => caps,
        Err(error) if claims => return Err(error),
        Err(_) => return Ok(Content::Unknown),
    };
    if let Some(video) = Video::from_caps(&caps)? {
        return Ok(Content::Video(video));
    }
    Ok(Audio::from_caps(&caps)?.map_or(Content::Unknown, Content::Audio))
}

fn wrong(field: &'static str, value: &Value, expected: &'static str) -> Error {
    Error::Field { field, value: excerpt(&value.to_string()), expected }
}
