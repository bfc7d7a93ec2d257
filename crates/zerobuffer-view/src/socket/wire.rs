//! In which form frames go to a page.
use std::sync::Arc;

use zerobuffer_video::{Layout, Video};

use crate::describe::Pixels;
use crate::picture::Picture;
use crate::{encode, pixels};

/// Bytes that are shown of a frame that is no picture.
pub(super) const EXCERPT: usize = 4096;

/// What the page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// The ring's bytes.
    Pixels,
    Jpeg {
        width: Option<u32>,
    },
}

/// What the payload of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pixels = 1,
    Jpeg = 2,
    Bytes = 3,
}

/// How the pixels of a stream go to the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    pub(super) format: &'static str,
    /// `None`: as four bytes RGB.
    layout: Option<Layout>,
    is_as_sent: bool,
}

/// Formats that browsers take by `WebCodecs`; their chroma is that of whole pairs.
const BY_BROWSER: [&str; 5] = ["I420", "YV12", "Y42B", "Y444", "NV12"];
/// Formats that the page makes pixels of by itself.
const BY_PAGE: [&str; 13] = [
    "RGB",
    "BGR",
    "RGBx",
    "RGBA",
    "BGRx",
    "BGRA",
    "xRGB",
    "ARGB",
    "xBGR",
    "ABGR",
    "GRAY8",
    "GRAY16_LE",
    "GRAY16_BE",
];

impl Form {
    pub(super) fn of(pixels: &Pixels) -> Form {
        let Pixels { video, picture } = pixels;
        let name = video.format.name();
        let as_sent = || Form { format: name, layout: Some(picture.layout.clone()), is_as_sent: true };
        if BY_PAGE.contains(&name) {
            return as_sent();
        }
        if BY_BROWSER.contains(&name) {
            if video.width.is_multiple_of(2) && video.rows().is_multiple_of(2) {
                return as_sent();
            }
            // GStreamer's padding makes room for the other half of the last pair.
            if let Ok(padded) = Layout::padded(video) {
                return Form { format: name, is_as_sent: picture.layout == padded, layout: Some(padded) };
            }
        }
        Form { format: "RGBx", layout: None, is_as_sent: false }
    }

    /// Offset and stride of each plane.
    pub(super) fn planes(&self, video: &Video) -> Vec<[usize; 2]> {
        match &self.layout {
            Some(layout) => layout.planes().iter().map(|plane| [plane.offset, plane.stride]).collect(),
            None => vec![[0, video.width as usize * 4]],
        }
    }

    /// The pixels of a frame; what has to be made of them is made once for all clients.
    fn payload<'a>(&self, frame: &'a Picture, Pixels { video, picture }: &Pixels) -> &'a [u8] {
        let data = frame.shown.split(&frame.bytes).1;
        match &self.layout {
            Some(_) if self.is_as_sent => data,
            Some(layout) => frame.converted(|| {
                let mut padded = vec![0; layout.size()];
                layout.fill(&mut padded, &picture.layout, data);
                padded
            }),
            None => frame.converted(|| {
                pixels::convert(video, &picture.layout, data, 1, true)
                    .map_or_else(Vec::new, |image| image.bytes)
            }),
        }
    }
}

/// What goes behind a message's head.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    /// Bytes that belong to the frame.
    Part(&'a [u8]),
    /// What was made of it.
    Made(Arc<[u8]>),
}

impl Wire {
    /// The payload for a frame.
    pub(super) fn payload<'a>(self, frame: &'a Picture, form: Option<&Form>) -> (Kind, Payload<'a>) {
        let data = frame.shown.split(&frame.bytes).1;
        let excerpt = || (Kind::Bytes, Payload::Part(data.get(..EXCERPT).unwrap_or(data)));
        let Some(pixels) = &frame.shown.pixels else { return excerpt() };
        match (self, form) {
            (Wire::Pixels, Some(form)) => (Kind::Pixels, Payload::Part(form.payload(frame, pixels))),
            (Wire::Pixels, None) => excerpt(),
            (Wire::Jpeg { width }, _) => match frame.jpeg(width, encode::QUALITY) {
                Ok(bytes) => (Kind::Jpeg, Payload::Made(bytes)),
                Err(_) => excerpt(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerobuffer_video::{Description, Format};

    fn form(format: &str, width: u32, height: u32) -> Form {
        let video = Video::new(Format::from_name(format).unwrap(), width, height).unwrap();
        let size = Layout::tight(&video).unwrap().size();
        let picture = Description::video("test", &video).picture(size).unwrap();
        Form::of(&Pixels { video, picture })
    }

    #[test]
    fn what_goes_as_it_is() {
        for format in ["I420", "NV12", "RGB", "BGR", "GRAY8", "GRAY16_LE", "BGRA"] {
            let form = form(format, 64, 48);
            assert!(form.is_as_sent && form.format == format, "{format}");
        }
        let odd = form("I420", 33, 17);
        assert!(!odd.is_as_sent && odd.format == "I420");
        assert!(form("RGB", 33, 17).is_as_sent);
        assert_eq!(form("UYVY", 4, 2).format, "RGBx");
        for name in BY_BROWSER.iter().chain(&BY_PAGE) {
            assert!(crate::pixels::is_known(Format::from_name(name).unwrap()));
        }
    }
}
