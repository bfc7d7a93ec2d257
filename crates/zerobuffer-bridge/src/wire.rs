//! What two bridges say to each other, as bytes. Every length is checked before it is used, and
//! nothing is allocated for one.
//!
//! A message to the filling bridge is a header of 64 bytes, as attachment, and a payload. That is
//! an opening, or a frame as it lies in the ring. The way back has one kind of message, a status.
//! All numbers are little-endian.
mod ask;

use std::fmt;

pub(crate) use self::ask::{Ask, Terms, Trouble};

/// The version of these bytes. It is also a part of every key.
pub(crate) const VERSION: u8 = 1;
const MAGIC: [u8; 4] = *b"ZBBR";
/// Bytes of a header.
pub(crate) const HEADER: usize = 64;
/// Metadata beyond this are not carried.
pub(crate) const MAX_METADATA: usize = 1 << 20;
/// Rings that a stream may go through.
pub(crate) const MAX_HOPS: usize = 8;
/// Bytes of a reason.
const MAX_REASON: usize = 1024;
const STATUS: usize = 56;

/// Why bytes of a peer are no message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The payload is an [`Opening`].
    Open,
    /// The payload is a frame.
    Frame,
}

/// What precedes a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// One attempt to get through: it changes when either side begins anew.
    pub(crate) epoch: u64,
    /// 1, 2, 3, … within an epoch.
    pub(crate) number: u64,
    /// One life of the ring that is sent, in which its numbers only rise.
    pub(crate) run: u64,
    /// The frame's number in that ring.
    pub(crate) sequence: u64,
    /// When the frame was taken out of that ring: nanoseconds since 1970.
    pub(crate) stamp: u64,
    /// Frames that the sending bridge has left out for this receiver so far.
    pub(crate) lost: u64,
    /// Bytes of the payload.
    pub(crate) length: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut out = Out(&mut bytes);
        out.put(&MAGIC);
        out.put(&[VERSION, if self.kind == Kind::Open { 1 } else { 2 }, 0, 0]);
        for number in [self.epoch, self.number, self.run, self.sequence, self.stamp, self.lost, self.length] {
            out.put(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, Refused> {
        let mut from = In(bytes);
        let kind = match from.start(HEADER)? {
            1 => Kind::Open,
            2 => Kind::Frame,
            other => return Err(Refused(format!("a message of unknown kind {other}"))),
        };
        let header = Header {
            kind,
            epoch: from.number()?,
            number: from.number()?,
            run: from.number()?,
            sequence: from.number()?,
            stamp: from.number()?,
            lost: from.number()?,
            length: from.number()?,
        };
        from.end().map(|()| header)
    }
}

/// One ring of one machine.
pub(crate) type Hop = u128;

/// How the stream is, from the next frame on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    /// A writer is there, or frames of one.
    pub(crate) live: bool,
    /// `None`: none were set.
    pub(crate) metadata: Option<Vec<u8>>,
    /// The rings that the stream has gone through, in order.
    pub(crate) path: Vec<Hop>,
}

impl Opening {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let metadata = self.metadata.as_deref().unwrap_or_default();
        let mut bytes =
            vec![u8::from(self.live), u8::from(self.metadata.is_some()), self.path.len() as u8, 0];
        bytes.extend_from_slice(&(metadata.len() as u32).to_le_bytes());
        self.path.iter().for_each(|hop| bytes.extend_from_slice(&hop.to_le_bytes()));
        bytes.extend_from_slice(metadata);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Opening, Refused> {
        let mut from = In(bytes);
        let [live, present, hops, _] = from.array()?;
        let length = u32::from_le_bytes(from.array()?) as usize;
        if hops as usize > MAX_HOPS || length > MAX_METADATA || live > 1 || present > 1 {
            return Err(Refused(format!(
                "an opening with {hops} hops and {length} bytes of metadata; {MAX_HOPS} and {MAX_METADATA} are possible"
            )));
        }
        let path = (0..hops).map(|_| from.array().map(u128::from_le_bytes)).collect::<Result<_, _>>()?;
        let metadata = from.take(length)?;
        let metadata = (present == 1).then(|| metadata.to_vec());
        from.end().map(|()| Opening { live: live == 1, metadata, path })
    }
}

/// What the filling bridge says: how far it has come, and why it does not go on if it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Of the last opening; 0: it waits for one.
    pub(crate) epoch: u64,
    /// The last message that has arrived.
    pub(crate) received: u64,
    /// The last message that is dealt with: a frame of it is in the ring.
    pub(crate) taken: u64,
    /// The last frame that was put into the ring.
    pub(crate) run: u64,
    pub(crate) sequence: u64,
    /// Frames that were missing between those that came.
    pub(crate) lost: u64,
    /// Why it takes nothing; empty: it does.
    pub(crate) reason: String,
}

impl Status {
    /// Bytes of the longest.
    pub(crate) const MOST: usize = STATUS + MAX_REASON;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STATUS + self.reason.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, 3, 0, 0]);
        for number in [self.epoch, self.received, self.taken, self.run, self.sequence, self.lost] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let cut = self.reason.floor_char_boundary(MAX_REASON);
        bytes.extend_from_slice(self.reason.get(..cut).unwrap_or_default().as_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Status, Refused> {
        if bytes.len() > Self::MOST {
            return Err(Refused(format!("a status of {} bytes", bytes.len())));
        }
        let mut from = In(bytes);
        if from.start(STATUS)? != 3 {
            return Err(Refused("a message that is no status".to_owned()));
        }
        let mut status = Status {
            epoch: from.number()?,
            received: from.number()?,
            taken: from.number()?,
            run: from.number()?,
            sequence: from.number()?,
            lost: from.number()?,
            reason: String::new(),
        };
        if status.taken > status.received {
            return Err(Refused(format!(
                "a status of {} taken and {} received",
                status.taken, status.received
            )));
        }
        status.reason = String::from_utf8_lossy(from.0).into_owned();
        Ok(status)
    }
}

/// Room that is filled from its start.
struct Out<'a>(&'a mut [u8]);

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let room = std::mem::take(&mut self.0);
        if let Some((target, rest)) = room.split_at_mut_checked(bytes.len()) {
            target.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// Bytes that are taken from their start.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Refused(format!("a message with {} bytes in place of {length}", self.0.len())))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_le_bytes)
    }

    /// Magic and version of a message of at least so many bytes; its kind.
    fn start(&mut self, least: usize) -> Result<u8, Refused> {
        if self.0.len() < least {
            return Err(Refused(format!("a message of {} bytes, which has at least {least}", self.0.len())));
        }
        let magic: [u8; 4] = self.array()?;
        let [version, kind, ..] = self.array::<4>()?;
        if magic != MAGIC {
            return Err(Refused("a message that is none of a bridge".to_owned()));
        }
        if version != VERSION {
            return Err(Refused(format!(
                "a message of version {version}; this bridge speaks version {VERSION}: use the same release at both ends"
            )));
        }
        Ok(kind)
    }

    fn end(&self) -> Result<(), Refused> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refused(format!("a message with {} bytes too many", self.0.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn header() -> Header {
        Header { kind: Kind::Frame, epoch: 1, number: 2, run: 3, sequence: 4, stamp: 5, lost: 6, length: 7 }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        let opening = Opening { live: true, metadata: Some(b"{}".to_vec()), path: vec![1, u128::MAX] };
        assert_eq!(Opening::decode(&opening.encode()), Ok(opening));
        let none = Opening::default();
        assert_eq!(Opening::decode(&none.encode()), Ok(none));
        let status = Status {
            epoch: 1,
            received: 3,
            taken: 2,
            reason: "ring too small".to_owned(),
            ..Status::default()
        };
        assert_eq!(Status::decode(&status.encode()), Ok(status));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused_or_is_a_message() {
        let opening = Opening { live: true, metadata: Some(vec![1; 40]), path: vec![7; 3] }.encode();
        for cut in 0..opening.len() {
            assert!(Opening::decode(&opening[..cut]).is_err(), "{cut}");
        }
        for cut in 0..HEADER {
            assert!(Header::decode(&header().encode()[..cut]).is_err(), "{cut}");
        }
        for at in 0..opening.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = opening.clone();
                changed[at] = value;
                if let Ok(read) = Opening::decode(&changed) {
                    assert!(read.path.len() <= MAX_HOPS);
                }
            }
        }
    }

    #[test]
    fn a_length_that_is_not_there_is_not_believed() {
        let mut opening = Opening::default().encode();
        opening[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let reason = Opening::decode(&opening).unwrap_err().0;
        assert!(reason.contains("4294967295 bytes of metadata"), "{reason}");
        opening[4..8].copy_from_slice(&1000u32.to_le_bytes());
        assert!(Opening::decode(&opening).is_err());
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = header().encode();
        bytes[4] = 9;
        let reason = Header::decode(&bytes).unwrap_err().0;
        assert!(reason.contains("version 9") && reason.contains("version 1"), "{reason}");
        bytes[0] = b'X';
        assert!(Header::decode(&bytes).unwrap_err().0.contains("none of a bridge"));
    }

    #[test]
    fn a_status_that_contradicts_itself_is_refused() {
        let status = Status { received: 1, taken: 2, ..Status::default() };
        assert!(Status::decode(&status.encode()).is_err());
        assert!(Status::decode(&[0; 5000]).is_err());
    }
}
