//! `record --foxglove`: frames as images that Foxglove shows.
mod picture;
mod proto;
mod schema;

use std::collections::HashMap;

use zerobuffer_video::{Content, Description, Picture, Stamp, Video};

use self::picture::Form;
use self::proto::Message;
use self::schema::field;
pub(super) use self::schema::{ENCODING, Kind};
use super::file::{Taken, own_time};
use crate::exit::Exit;
use crate::fail::Fail;
use crate::{say, text};

/// The largest message that readers of the format take.
const MOST: usize = i32::MAX as usize;

/// Compressed pictures that Foxglove opens, by the first word of their caps.
const COMPRESSED: [(&str, &str); 3] = [("image/jpeg", "jpeg"), ("image/png", "png"), ("image/webp", "webp")];

/// Makes images of frames.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// By topic and metadata.
    streams: HashMap<(String, Vec<u8>), Stream>,
    /// The message that was made last.
    message: Vec<u8>,
    /// The first frame that is left out was reported.
    told: bool,
}

/// What the frames of one writer are.
#[derive(Debug)]
struct Stream {
    description: Description,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Pictures {
        video: Video,
        form: Form,
        /// That of the last frame, whose size the next one has, too.
        picture: Option<Picture>,
    },
    Compressed(&'static str),
}

impl Images {
    /// The message for a frame; `None` for one that is not what its stream's description says.
    ///
    /// An error is a stream that Foxglove cannot show.
    pub(super) fn of(&mut self, taken: &Taken<'_>) -> Result<Option<(Kind, &[u8])>, Fail> {
        let key = (taken.topic.to_owned(), taken.metadata.to_owned());
        let stream = match self.streams.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Stream::of(taken)?),
        };
        match stream.write(taken, &mut self.message) {
            Ok(kind) => Ok(Some((kind, &self.message))),
            Err(why) => {
                if !std::mem::replace(&mut self.told, true) {
                    say::note(&format!("frame {} of '{}' is left out: {why}", taken.sequence, taken.topic));
                }
                Ok(None)
            }
        }
    }
}

impl Stream {
    fn of(taken: &Taken<'_>) -> Result<Stream, Fail> {
        let name = text::one_line(taken.topic);
        let refused = |what: &str| {
            let message = format!("--foxglove cannot show '{name}': {what}");
            Fail::new(Exit::Input, message).hint("record it without --foxglove")
        };
        let description = Description::parse(taken.metadata).map_err(|why| refused(&why.to_string()))?;
        if let Content::Video(video) = description.content {
            let format = video.format.name();
            let form = Form::of(&video).ok_or_else(|| {
                refused(&format!("it has no encoding for pictures of {format}, and they cannot be converted"))
            })?;
            if form.size > MOST {
                return Err(refused(&format!("an image of {} bytes is too large", form.size)));
            }
            if form.is_converted() {
                say::note(&format!(
                    "'{name}': {format} is recorded as rgb8, the nearest that Foxglove shows"
                ));
            }
            return Ok(Stream { description, shape: Shape::Pictures { video, form, picture: None } });
        }
        let Some(caps) = description.caps.as_deref() else {
            return Err(refused("its frames are not described, so nobody knows what they are"));
        };
        let word = caps.split(',').next().unwrap_or_default().trim();
        match COMPRESSED.iter().find(|(caps, _)| *caps == word) {
            Some((_, format)) => Ok(Stream { shape: Shape::Compressed(format), description }),
            None => Err(refused(&format!("it has no encoding for frames of {}", text::excerpt(word, 60)))),
        }
    }

    /// Puts the message into `into`, or says why the frame has none.
    fn write(&mut self, taken: &Taken<'_>, into: &mut Vec<u8>) -> Result<Kind, String> {
        let nanos = own_time(&self.description, taken.data).unwrap_or(taken.arrived);
        let time = Message::new().number(1, nanos / 1_000_000_000).number(2, nanos % 1_000_000_000);
        let message = Message::new().message(field::TIMESTAMP, &time);
        into.clear();
        match &mut self.shape {
            Shape::Pictures { video, form, picture } => {
                if picture.as_ref().is_none_or(|picture| picture.frame_size() != taken.data.len()) {
                    *picture = None;
                }
                let picture = match picture {
                    Some(picture) => picture,
                    none => none
                        .insert(self.description.picture(taken.data.len()).map_err(|why| why.to_string())?),
                };
                let message = message
                    .text(field::raw::FRAME_ID, taken.topic)
                    .fixed32(field::raw::WIDTH, video.width)
                    .fixed32(field::raw::HEIGHT, form.height)
                    .text(field::raw::ENCODING, form.encoding)
                    .fixed32(field::raw::STEP, form.step)
                    .open(field::raw::DATA, form.size);
                into.extend_from_slice(message.as_bytes());
                let pixels = picture.split(taken.data).1;
                if form.append(video, &picture.layout, pixels, into) {
                    Ok(Kind::Raw)
                } else {
                    Err(format!("it has {} bytes", taken.data.len()))
                }
            }
            Shape::Compressed(format) => {
                let stamped = Stamp::split(taken.data).filter(|_| self.description.stamped == Some(true));
                let data = stamped.map_or(taken.data, |(_, rest)| rest);
                if data.len() > MOST {
                    return Err(format!("it has {} bytes", data.len()));
                }
                let message = message
                    .text(field::compressed::FRAME_ID, taken.topic)
                    .text(field::compressed::FORMAT, format)
                    .open(field::compressed::DATA, data.len());
                into.extend_from_slice(message.as_bytes());
                into.extend_from_slice(data);
                Ok(Kind::Compressed)
            }
        }
    }
}
