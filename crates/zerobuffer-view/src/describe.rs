//! What the frames of a stream are, by its metadata and by their size.
use std::sync::Arc;

use zerobuffer_video::{Clock, Content, Description, Picture, Stamp, Video};

use crate::pixels;

/// A picture: what it shows and where its rows are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pixels {
    pub(crate) video: Video,
    pub(crate) picture: Picture,
}

/// What a frame is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// Another number for each other description.
    pub(crate) id: u64,
    pub(crate) caps: Option<String>,
    pub(crate) clock: Option<Clock>,
    /// `None`: bytes.
    pub(crate) pixels: Option<Pixels>,
    /// How to read the bytes as numbers, where the caps say so: `S16LE`.
    pub(crate) samples: Option<String>,
    pub(crate) is_stamped: bool,
    /// Why it is no picture although it is called one.
    pub(crate) note: Option<String>,
}

impl Shown {
    /// The stamp and the bytes behind it.
    pub(crate) fn split<'a>(&self, frame: &'a [u8]) -> (Option<Stamp>, &'a [u8]) {
        match Stamp::split(frame).filter(|_| self.is_stamped) {
            Some((stamp, rest)) => (Some(stamp), rest),
            None => (None, frame),
        }
    }
}

/// Describes one frame after the other, and does it anew only where something has changed.
#[derive(Debug, Default)]
pub(crate) struct Describer {
    metadata: Option<Vec<u8>>,
    parsed: Parsed,
    size: usize,
    shown: Option<Arc<Shown>>,
    last: u64,
}

#[derive(Debug, Default)]
struct Parsed {
    description: Description,
    note: Option<String>,
}

impl Describer {
    /// Takes the metadata block as it is now; says whether it is another one.
    pub(crate) fn metadata(&mut self, metadata: Option<&[u8]>) -> bool {
        if self.metadata.as_deref() == metadata {
            return false;
        }
        self.metadata = metadata.map(<[u8]>::to_vec);
        self.parsed = match Description::parse(metadata.unwrap_or_default()) {
            Ok(description) => Parsed { description, note: None },
            Err(why) => Parsed { description: Description::default(), note: Some(why.to_string()) },
        };
        self.shown = None;
        true
    }

    /// What the metadata say.
    pub(crate) fn description(&self) -> &Description {
        &self.parsed.description
    }

    /// What a frame of `size` bytes is.
    pub(crate) fn frame(&mut self, size: usize) -> Arc<Shown> {
        if let Some(shown) = self.shown.as_ref().filter(|_| self.size == size) {
            return Arc::clone(shown);
        }
        self.last += 1;
        self.size = size;
        let shown = Arc::new(self.parsed.shown(size, self.last));
        self.shown = Some(Arc::clone(&shown));
        shown
    }
}

impl Parsed {
    fn shown(&self, size: usize, id: u64) -> Shown {
        let Parsed { description, note } = self;
        let mut shown = Shown {
            id,
            caps: description.caps.clone(),
            clock: description.clock,
            pixels: None,
            samples: None,
            is_stamped: description.stamped == Some(true),
            note: note.clone(),
        };
        match &description.content {
            Content::Video(video) => match description.picture(size) {
                Ok(picture) => {
                    shown.is_stamped = picture.stamped;
                    if pixels::is_known(video.format) {
                        shown.pixels = Some(Pixels { video: *video, picture });
                    } else {
                        shown.note = Some(format!("the viewer cannot show {} yet", video.format));
                    }
                }
                Err(why) => shown.note = Some(why.to_string()),
            },
            Content::Audio(audio) => shown.samples = Some(audio.sample.name.to_owned()),
            _ => {}
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anew_only_where_something_has_changed() {
        let mut describer = Describer::default();
        let caps = br#"{"caps":"video/x-raw, format=(string)GRAY8, width=(int)4, height=(int)2"}"#;
        describer.metadata(Some(caps));
        let first = describer.frame(8);
        assert!(first.pixels.is_some() && !first.is_stamped);
        describer.metadata(Some(caps));
        assert!(Arc::ptr_eq(&first, &describer.frame(8)));
        let stamped = describer.frame(32);
        assert!(stamped.is_stamped && stamped.id != first.id);
        let wrong = describer.frame(9);
        assert!(wrong.note.as_deref().is_some_and(|note| note.contains("9 bytes")), "{wrong:?}");
        describer.metadata(None);
        let bytes = describer.frame(8);
        assert_eq!((&bytes.pixels, &bytes.note, &bytes.caps), (&None, &None, &None));
        describer
            .metadata(Some(br#"{"caps":"video/x-raw, format=(string)v210, width=(int)6, height=(int)1"}"#));
        assert!(describer.frame(128).note.as_deref().is_some_and(|note| note.contains("v210")));
        describer.metadata(Some(br#"{"caps":"video/x-raw, width"}"#));
        assert!(describer.frame(8).note.is_some());
    }
}
