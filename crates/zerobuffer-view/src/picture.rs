//! A frame that was copied out of a ring, for all who look at its stream.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::describe::Shown;
use crate::encode;

/// Forms of one frame that are kept; others are made for each who asks.
const KEPT: usize = 8;

/// A JPEG, or why there is none; made once.
type Jpeg = Arc<OnceLock<Result<Arc<[u8]>, String>>>;
/// The most that it is wide, and its quality.
type Size = (Option<u32>, u8);

/// A frame, and what was made of it.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Frames of the stream up to this one, since it is looked at.
    pub(crate) count: u64,
    /// Its number in the ring.
    pub(crate) sequence: u64,
    /// What it is.
    pub(crate) shown: Arc<Shown>,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    converted: OnceLock<Vec<u8>>,
    jpegs: Mutex<Vec<(Size, Jpeg)>>,
}

impl Picture {
    pub(crate) fn new(shown: Arc<Shown>) -> Picture {
        Picture {
            count: 0,
            sequence: 0,
            shown,
            bytes: Vec::new(),
            converted: OnceLock::new(),
            jpegs: Mutex::default(),
        }
    }

    /// Becomes another frame, whose bytes are already there.
    pub(crate) fn renew(&mut self, count: u64, sequence: u64, shown: Arc<Shown>) {
        (self.count, self.sequence, self.shown) = (count, sequence, shown);
        self.converted = OnceLock::new();
        self.jpegs = Mutex::default();
    }

    /// The pixels in another form, which is the same for all.
    pub(crate) fn converted(&self, convert: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.converted.get_or_init(convert)
    }

    /// As JPEG, at most `width` pixels wide if that is given; an error says why it is no picture.
    pub(crate) fn jpeg(&self, width: Option<u32>, quality: u8) -> Result<Arc<[u8]>, String> {
        let size = (width, quality);
        let jpeg = {
            let mut jpegs = self.jpegs.lock().unwrap_or_else(PoisonError::into_inner);
            let known = jpegs.iter().find(|(known, _)| *known == size).map(|(_, jpeg)| Arc::clone(jpeg));
            known.unwrap_or_else(|| {
                let jpeg = Jpeg::default();
                if jpegs.len() < KEPT {
                    jpegs.push((size, Arc::clone(&jpeg)));
                }
                jpeg
            })
        };
        let make = || match &self.shown.pixels {
            Some(pixels) => encode::jpeg(pixels, &self.bytes, width, quality).map(Arc::from),
            None => {
                Err(self.shown.note.clone().unwrap_or_else(|| String::from("its frames are no pictures")))
            }
        };
        jpeg.get_or_init(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::Describer;

    #[test]
    fn each_form_is_made_once_and_not_for_the_next_frame() {
        let mut describer = Describer::default();
        describer
            .metadata(Some(br#"{"caps":"video/x-raw, format=(string)GRAY8, width=(int)64, height=(int)2"}"#));
        let mut picture = Picture::new(describer.frame(128));
        picture.bytes = vec![7; 128];
        let first = picture.jpeg(None, 80).unwrap();
        assert!(Arc::ptr_eq(&first, &picture.jpeg(None, 80).unwrap()));
        assert!(!Arc::ptr_eq(&first, &picture.jpeg(Some(16), 80).unwrap()));
        for quality in 1..40 {
            picture.jpeg(None, quality).unwrap();
        }
        assert_eq!(picture.jpegs.lock().unwrap().len(), KEPT);
        assert_eq!(picture.converted(|| vec![1]), [1]);
        assert_eq!(picture.converted(|| vec![2]), [1]);
        picture.bytes = vec![200; 128];
        picture.renew(2, 2, describer.frame(128));
        assert_eq!(picture.converted(|| vec![2]), [2]);
        assert_ne!(first, picture.jpeg(None, 80).unwrap());
        picture.renew(3, 3, describer.frame(5));
        assert!(picture.jpeg(None, 80).is_err());
    }
}
