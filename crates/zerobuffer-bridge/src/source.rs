//! Where frames come from: a ring that this bridge reads, or one that it only looks at.
use std::time::Duration;

use zerobuffer::observe::{Tap, TapState};
use zerobuffer::{BufferConfig, Error, Frame, Reader};

use crate::say;
use crate::stop::Stop;

/// A frame's bytes.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Ring memory, which is the writer's again when this is dropped.
    Lent(Frame),
    /// A tap has copied them.
    Copied(Vec<u8>),
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        match self {
            Payload::Lent(frame) => frame.data(),
            Payload::Copied(bytes) => bytes,
        }
    }
}

/// What a look has brought.
#[derive(Debug)]
pub(crate) enum Event {
    Frame {
        payload: Payload,
        sequence: u64,
        skipped: u64,
    },
    /// Nothing yet.
    Nothing,
    /// The writer is gone, and all its frames were taken.
    WriterGone,
    /// The buffer is not the one that it was: its numbers begin anew.
    Renewed,
}

pub(crate) struct Source {
    name: String,
    inner: Inner,
    /// A writer was seen, or a frame of it.
    present: bool,
    /// A frame of it came.
    flows: bool,
    /// No writer has left yet: metadata are those of the first one.
    fresh: bool,
    told: say::Once,
}

#[allow(clippy::large_enum_variant, reason = "there is one for each stream")]
enum Inner {
    /// None while it cannot be made anew.
    Ring {
        reader: Option<Reader>,
        config: BufferConfig,
    },
    Tap(Option<Tap>),
}

impl Source {
    /// Creates the buffer and is its reader.
    pub(crate) fn ring(name: &str, config: BufferConfig) -> zerobuffer::Result<Source> {
        let reader = Reader::create(name, config.clone())?;
        Ok(Source::new(name, Inner::Ring { reader: Some(reader), config }))
    }

    /// Looks at the buffer, which may come later.
    pub(crate) fn tap(name: &str) -> zerobuffer::Result<Source> {
        let tap = match Tap::open(name) {
            Ok(tap) => Some(tap),
            Err(Error::NotFound { .. } | Error::NotReady { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Source::new(name, Inner::Tap(tap)))
    }

    fn new(name: &str, inner: Inner) -> Source {
        Source {
            name: name.to_owned(),
            inner,
            present: false,
            flows: false,
            fresh: true,
            told: say::Once::default(),
        }
    }

    /// Whether the stream has begun, with these metadata. A writer that has just come has not set
    /// them yet, and those of its predecessor are there until its first frame.
    pub(crate) fn is_live(&self, metadata: Option<&Vec<u8>>) -> bool {
        self.flows || self.present && self.fresh && metadata.is_some()
    }

    /// The metadata of the frame that came last, or of the writer that is there.
    pub(crate) fn metadata(&self) -> zerobuffer::Result<Option<Vec<u8>>> {
        match &self.inner {
            Inner::Ring { reader: Some(reader), .. } => {
                Ok(reader.metadata()?.map(|metadata| metadata.data().to_vec()))
            }
            Inner::Tap(Some(tap)) => tap.metadata(),
            Inner::Ring { reader: None, .. } | Inner::Tap(None) => Ok(None),
        }
    }

    /// Waits for a frame, at most `wait`: for the next one, or the newest.
    pub(crate) fn next(&mut self, newest: bool, wait: Duration, stop: &Stop) -> Event {
        let found = match &mut self.inner {
            Inner::Ring { reader: Some(reader), .. } => next_in_ring(reader, &mut self.present, newest, wait),
            Inner::Ring { reader: None, .. } => Ok(Event::Nothing),
            Inner::Tap(tap) => next_by_tap(&self.name, tap, &mut self.present, newest, wait, stop),
        };
        match found {
            Ok(event) => {
                match event {
                    Event::Frame { .. } => {
                        self.told.clear();
                        self.flows = true;
                    }
                    Event::WriterGone | Event::Renewed => (self.flows, self.fresh) = (false, false),
                    Event::Nothing => {}
                }
                event
            }
            Err(error) => {
                self.told.warn(error.to_string());
                self.renew(stop);
                Event::Renewed
            }
        }
    }

    /// What cannot be read any more is made, or opened, anew.
    fn renew(&mut self, stop: &Stop) {
        (self.present, self.flows, self.fresh) = (false, false, false);
        match &mut self.inner {
            Inner::Tap(tap) => {
                *tap = None;
                stop.sleep(Duration::from_millis(200));
            }
            Inner::Ring { reader, config } => {
                // Its name is free only without it.
                *reader = None;
                while stop.sleep(Duration::from_millis(200)) {
                    match Reader::create(&self.name, config.clone()) {
                        Ok(created) => return *reader = Some(created),
                        Err(error) => self.told.warn(error.to_string()),
                    }
                }
            }
        }
    }
}

fn next_in_ring(
    reader: &mut Reader,
    present: &mut bool,
    newest: bool,
    wait: Duration,
) -> zerobuffer::Result<Event> {
    if !*present {
        *present = reader.wait_for_writer(wait)?;
        return Ok(Event::Nothing);
    }
    let found = if newest {
        reader.latest_timeout(wait).map(|found| found.map(|latest| (latest.frame, latest.skipped)))
    } else {
        reader.read_timeout(wait).map(|found| found.map(|frame| (frame, 0)))
    };
    match found {
        Ok(Some((frame, skipped))) => {
            Ok(Event::Frame { sequence: frame.sequence(), payload: Payload::Lent(frame), skipped })
        }
        Ok(None) => Ok(Event::Nothing),
        Err(Error::WriterGone { .. }) => {
            *present = false;
            Ok(Event::WriterGone)
        }
        Err(error) => Err(error),
    }
}

fn next_by_tap(
    name: &str,
    slot: &mut Option<Tap>,
    present: &mut bool,
    newest: bool,
    wait: Duration,
    stop: &Stop,
) -> zerobuffer::Result<Event> {
    if slot.is_none() {
        match Tap::open(name) {
            Ok(tap) => *slot = Some(tap),
            Err(Error::NotFound { .. } | Error::NotReady { .. }) => {
                stop.sleep(wait.min(Duration::from_millis(20)));
            }
            Err(error) => return Err(error),
        }
    }
    let Some(tap) = slot else { return Ok(Event::Nothing) };
    let mut bytes = Vec::new();
    let mut found = if newest { tap.latest(&mut bytes, wait) } else { tap.next(&mut bytes, wait) };
    if matches!(found, Ok(None)) && *present && tap.state()? == TapState::NoWriter {
        // What came between the two looks.
        found = tap.next(&mut bytes, Duration::ZERO);
        if matches!(found, Ok(None)) {
            *present = false;
            return Ok(Event::WriterGone);
        }
    }
    match found {
        Ok(Some(frame)) => {
            *present = true;
            let skipped = frame.skipped.unwrap_or(0);
            Ok(Event::Frame { payload: Payload::Copied(bytes), sequence: frame.sequence, skipped })
        }
        Ok(None) => {
            *present |= !matches!(tap.state()?, TapState::NoWriter | TapState::Ended);
            Ok(Event::Nothing)
        }
        Err(Error::ReaderGone { .. }) => {
            *slot = None;
            // The next buffer of this name counts from 1 again.
            Ok(if std::mem::take(present) { Event::WriterGone } else { Event::Renewed })
        }
        Err(error) => Err(error),
    }
}
