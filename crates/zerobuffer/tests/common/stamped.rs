//! Frames that say which ones they are, for readers that do not get all of them;
//! `python/old_peer.py` holds the same functions.

use std::time::{Duration, Instant};

use zerobuffer::{Error, Reader};

use super::{check, pattern, size_of};

const PATIENT: Duration = Duration::from_secs(60);
/// Bytes in front of the content: the frame's key.
pub(crate) const STAMP: usize = 8;

/// Frame `key` of a stream of frames of 9 to `max` bytes.
pub(crate) fn stamped(seed: u64, key: u64, max: u64) -> Vec<u8> {
    let mut data = vec![0; STAMP + size_of(seed, key, max - STAMP as u64)];
    data[..STAMP].copy_from_slice(&key.to_le_bytes());
    pattern::fill(&mut data[STAMP..], key);
    data
}

/// The key of a frame that is whole and its stream's.
pub(crate) fn key_of(data: &[u8], seed: u64, max: u64) -> Result<u64, String> {
    let stamp = data.first_chunk().ok_or_else(|| format!("a frame of {} bytes has no stamp", data.len()))?;
    let key = u64::from_le_bytes(*stamp);
    let len = STAMP + size_of(seed, key, max - STAMP as u64);
    if data.len() != len {
        return Err(format!("frame {key}: {} bytes instead of {len}", data.len()));
    }
    check(&data[STAMP..], key).map(|()| key)
}

/// What a reader has got of a stream.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) frames: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The longest time between two frames.
    pub(crate) gap: Duration,
}

/// Reads `most` frames (0: until the writer has gone), each whole and later than the one before.
pub(crate) fn follow(reader: &mut Reader, seed: u64, max: u64, most: u64) -> Result<Followed, String> {
    let mut followed = Followed::default();
    let mut came: Option<Instant> = None;
    while most == 0 || followed.frames < most {
        let frame = match reader.read_timeout(PATIENT) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(format!("no frame came, nor the writer's end: {followed:?}")),
            Err(Error::WriterGone { .. }) => break,
            Err(error) => return Err(error.to_string()),
        };
        let key = key_of(frame.data(), seed, max)?;
        if key <= followed.last {
            return Err(format!("frame {key} after {}", followed.last));
        }
        let now = Instant::now();
        followed.gap = came.map_or(Duration::ZERO, |came| now - came).max(followed.gap);
        came = Some(now);
        followed.frames += 1;
        if followed.first == 0 {
            followed.first = key;
        }
        followed.last = key;
    }
    Ok(followed)
}

impl Followed {
    /// From the reply of an agent.
    pub(crate) fn parse(reply: &str) -> Self {
        let numbers: Vec<u64> = reply.split(' ').map(|word| word.parse().unwrap()).collect();
        let [frames, first, last, gap] = numbers[..] else { panic!("{reply}") };
        Self { frames, first, last, gap: Duration::from_millis(gap) }
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {} {} {}", self.frames, self.first, self.last, self.gap.as_millis())
    }
}
