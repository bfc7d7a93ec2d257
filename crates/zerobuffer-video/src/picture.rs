//! One frame: where its stamp and its planes are, found by its size where nobody said so.
use std::fmt;

use crate::error::excerpt;
use crate::{Error, Layout, Result, Stamp, Video};

/// How the rows of a picture lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rows {
    /// As the metadata keys `strides` and `offsets` say.
    Announced,
    /// Without padding.
    Tight,
    /// With GStreamer's padding.
    Padded,
}

/// What a frame of some size consists of: perhaps a stamp, then a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Picture {
    /// How the rows lie; `Tight` where the padding rule adds nothing.
    pub rows: Rows,
    /// Whether a stamp stands in front.
    pub stamped: bool,
    /// The planes; offsets count from the first byte behind the stamp.
    pub layout: Layout,
}

/// What the metadata announces about each frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement<'a> {
    pub(crate) strides: Option<&'a [u64]>,
    pub(crate) offsets: Option<&'a [u64]>,
    /// `None`: not said.
    pub(crate) stamped: Option<bool>,
}

impl Picture {
    /// Splits a frame of this kind into its stamp, if it has one, and its pixels.
    #[must_use]
    pub fn split<'a>(&self, frame: &'a [u8]) -> (Option<Stamp>, &'a [u8]) {
        match Stamp::split(frame).filter(|_| self.stamped) {
            Some((stamp, pixels)) => (Some(stamp), pixels),
            None => (None, frame),
        }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_size(&self) -> usize {
        self.layout.size() + if self.stamped { Stamp::SIZE } else { 0 }
    }

    /// Finds the one arrangement that has `size` bytes. It tries announced strides, else tight rows
    /// or padded ones, each with and without a stamp unless that is announced too.
    pub(crate) fn recognise(video: &Video, announced: Announcement<'_>, size: usize) -> Result<Picture> {
        if announced.stamped == Some(true) && size < Stamp::SIZE {
            return Err(Error::StampMissing { size });
        }
        let candidates = candidates(video, announced)?;
        let mut fitting = candidates.iter().filter(|candidate| candidate.frame_size() == size);
        match (fitting.next(), fitting.next()) {
            (Some(picture), None) => Ok(picture.clone()),
            (None, _) => {
                Err(Error::FrameSize { size, what: what(video), expected: list(&candidates, " or ", true) })
            }
            (Some(_), Some(_)) => {
                let matches: Vec<Picture> =
                    candidates.into_iter().filter(|candidate| candidate.frame_size() == size).collect();
                Err(Error::Ambiguous { size, what: what(video), matches: list(&matches, " and as ", false) })
            }
        }
    }
}

/// Every arrangement that a frame may have, in the order of preference.
fn candidates(video: &Video, announced: Announcement<'_>) -> Result<Vec<Picture>> {
    let mut layouts = Vec::with_capacity(2);
    if let Some(strides) = announced.strides {
        layouts.push((Rows::Announced, Layout::announced(video, strides, announced.offsets)?));
    } else {
        let (tight, padded) = (Layout::tight(video)?, Layout::padded(video)?);
        let differ = tight != padded;
        layouts.push((Rows::Tight, tight));
        layouts.extend(differ.then_some((Rows::Padded, padded)));
    }
    let stamps: &[bool] = match announced.stamped {
        None => &[false, true],
        Some(false) => &[false],
        Some(true) => &[true],
    };
    Ok(layouts
        .into_iter()
        .flat_map(|(rows, layout)| {
            stamps.iter().map(move |stamped| Picture { rows, stamped: *stamped, layout: layout.clone() })
        })
        .collect())
}

fn what(video: &Video) -> String {
    excerpt(&format!("{} {} x {}", video.format, video.width, video.height))
}

fn list(pictures: &[Picture], between: &str, numbers: bool) -> String {
    let texts: Vec<String> = pictures
        .iter()
        .map(
            |picture| {
                if numbers { format!("{} ({picture})", picture.frame_size()) } else { picture.to_string() }
            },
        )
        .collect();
    texts.join(between)
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.rows {
            Rows::Announced => "announced strides",
            Rows::Tight => "tight rows",
            Rows::Padded => "padded rows",
        })?;
        f.write_str(if self.stamped { " behind a stamp" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    const NOTHING: Announcement<'_> = Announcement { strides: None, offsets: None, stamped: None };

    fn video(format: &str, width: u32, height: u32) -> Video {
        Video::new(Format::from_name(format).unwrap(), width, height).unwrap()
    }

    fn found(video: &Video, announced: Announcement<'_>, size: usize) -> (Rows, bool) {
        let picture = Picture::recognise(video, announced, size).unwrap();
        assert_eq!(picture.frame_size(), size);
        (picture.rows, picture.stamped)
    }

    #[test]
    fn by_size_where_nothing_is_announced() {
        let i420 = video("I420", 854, 480);
        assert_eq!(found(&i420, NOTHING, 614_880), (Rows::Tight, false));
        assert_eq!(found(&i420, NOTHING, 614_904), (Rows::Tight, true));
        assert_eq!(found(&i420, NOTHING, 616_320), (Rows::Padded, false));
        assert_eq!(found(&i420, NOTHING, 616_344), (Rows::Padded, true));
        let message = Picture::recognise(&i420, NOTHING, 614_881).unwrap_err().to_string();
        assert_eq!(
            message,
            "the frame has 614881 bytes, but I420 854 x 480 has 614880 (tight rows) or 614904 (tight rows behind a \
             stamp) or 616320 (padded rows) or 616344 (padded rows behind a stamp)"
        );
        // Where the padding rule adds nothing, there is one arrangement only.
        assert_eq!(found(&video("RGB", 640, 480), NOTHING, 921_600), (Rows::Tight, false));
    }

    #[test]
    fn two_readings_of_one_size_are_an_error() {
        // 24 rows with one byte of padding each: as long as a stamp.
        let gray = video("GRAY8", 3, 24);
        let message = Picture::recognise(&gray, NOTHING, 96).unwrap_err().to_string();
        assert_eq!(
            message,
            "the frame has 96 bytes, which GRAY8 3 x 24 has as tight rows behind a stamp and as padded rows: the sender \
             must announce 'strides' or 'frame_prefix'"
        );
        assert_eq!(found(&gray, Announcement { stamped: Some(true), ..NOTHING }, 96), (Rows::Tight, true));
        assert_eq!(found(&gray, Announcement { stamped: Some(false), ..NOTHING }, 96), (Rows::Padded, false));
        assert_eq!(
            found(&gray, Announcement { strides: Some(&[4]), ..NOTHING }, 96),
            (Rows::Announced, false)
        );
        assert_eq!(
            found(&gray, Announcement { strides: Some(&[3]), ..NOTHING }, 96),
            (Rows::Announced, true)
        );
    }

    #[test]
    fn announced_and_missing() {
        let gray = video("GRAY8", 4, 8);
        let stamped = Announcement { stamped: Some(true), ..NOTHING };
        for (size, part) in [
            (23, "has 23 bytes, fewer than the 24 of the announced stamp"),
            (32, "has 32 bytes, but GRAY8 4 x 8 has 56 (tight rows behind a stamp)"),
        ] {
            let message = Picture::recognise(&gray, stamped, size).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn stamps_are_split_off() {
        let stamp = Stamp { number: Some(7), ..Stamp::default() };
        let frame = [&stamp.to_bytes()[..], &[1, 2, 3, 4]].concat();
        let gray = video("GRAY8", 4, 1);
        let picture = Picture::recognise(&gray, NOTHING, frame.len()).unwrap();
        assert_eq!(picture.split(&frame), (Some(stamp), &[1, 2, 3, 4][..]));
        let picture = Picture::recognise(&gray, NOTHING, 4).unwrap();
        assert_eq!(picture.split(&[1, 2, 3, 4]), (None, &[1, 2, 3, 4][..]));
    }
}
