//! The way from one sender into the ring.
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use zenoh::bytes::ZBytes;
use zerobuffer::{Error, Patience, Writer};

use super::Fill;
use super::inbox::Inbox;
use super::target::Target;
use crate::stop::{LOOK, Stop};
use crate::wire::{Header, Kind, MAX_HOPS, MAX_METADATA, Opening, Status};
use crate::{clock, path, say};

/// How often the sender hears how far this bridge is.
const TELL: Duration = Duration::from_millis(500);

/// Bytes of the longest opening.
pub(super) const MOST_OPENING: usize = MAX_METADATA + 1024;

/// How a lane has ended.
#[derive(Debug)]
pub(super) enum End {
    /// The run ends.
    Stopped,
    /// The sender is gone, or out of reach, or begins anew.
    SenderGone,
    /// The ring is gone.
    RingGone,
    /// What comes cannot be put into this ring.
    Refused(String),
    /// Another bridge fills it.
    Taken(String),
}

/// The way from one sender into the ring.
pub(super) struct Lane<'a> {
    pub(super) fill: &'a Fill,
    pub(super) sender: &'a str,
    pub(super) back: String,
    pub(super) inbox: &'a Inbox,
    pub(super) target: &'a mut Target,
    pub(super) stop: &'a Stop,
    pub(super) status: Status,
    /// When the sender last heard of this bridge.
    pub(super) told: Option<Instant>,
}

impl Lane<'_> {
    pub(super) fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.look() {
                return end;
            }
            let step = match self.inbox.next(LOOK) {
                Ok(None) => Ok(()),
                Ok(Some((header, payload))) => self.message(&header, &payload),
                Err(reason) => Err(End::Refused(reason)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Whether the lane goes on; tells the sender where it is from time to time.
    fn look(&mut self) -> Result<(), End> {
        if self.stop.is_set() {
            return Err(End::Stopped);
        }
        if !self.fill.offers.has(self.sender) {
            return Err(End::SenderGone);
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            let writer = self.target.writer.as_ref();
            if writer.is_some_and(|writer| !writer.is_reader_connected()) {
                return Err(End::RingGone);
            }
            if writer.is_none() && !self.fill.ring_is_there(&mut say::Once::default()) {
                return Err(End::RingGone);
            }
            self.tell();
        }
        Ok(())
    }

    pub(super) fn tell(&mut self) {
        self.status.received = self.inbox.received(self.status.epoch).max(self.status.taken);
        (self.status.run, self.status.sequence) = (self.target.run, self.target.sequence);
        self.fill.say(&self.status, &self.back);
        self.told = Some(Instant::now());
    }

    fn message(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        let begins = header.kind == Kind::Open && header.number == 1 && header.epoch != self.status.epoch;
        if begins {
            self.status.epoch = header.epoch;
            self.status.taken = 0;
        } else if header.epoch != self.status.epoch {
            // Of an attempt that was given up.
            return Ok(());
        } else if header.number != self.status.taken + 1 {
            // The engine has lost one. The token goes and comes, and so the sender begins anew.
            say::warn(&format!("{}: a message was lost on the way; the lane begins anew", self.fill.stream));
            return Err(End::SenderGone);
        }
        match header.kind {
            Kind::Open => self.open(header, payload)?,
            Kind::Frame => self.frame(header, payload)?,
        }
        self.status.taken = header.number;
        self.tell();
        Ok(())
    }

    fn open(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        if payload.len() > MOST_OPENING {
            return Err(End::Refused(format!("an opening of {} bytes", payload.len())));
        }
        let opening = Opening::decode(&payload.to_bytes()).map_err(|refused| End::Refused(refused.0))?;
        let ring = &self.fill.ring;
        if opening.path.contains(&path::hop(ring)) {
            return Err(End::Refused(format!(
                "a loop of bridges: the stream comes from the buffer '{ring}' of this machine, which it would fill"
            )));
        }
        if opening.path.len() >= MAX_HOPS {
            return Err(End::Refused(format!(
                "the stream went through {MAX_HOPS} buffers already: a loop of bridges?"
            )));
        }
        if header.run != self.target.run {
            (self.target.run, self.target.sequence) = (header.run, 0);
        }
        {
            let mut shown = self.fill.shown();
            (shown.live, shown.has_sender, shown.refused) = (opening.live, true, None);
        }
        if !opening.live {
            self.target.leave();
            return Ok(());
        }
        // Metadata are a writer's: other ones come with another writer.
        if self.target.is_as(&opening) {
            return Ok(());
        }
        self.target.begin(ring, self.fill.owner, opening, self.stop)
    }

    fn frame(&mut self, header: &Header, payload: &ZBytes) -> Result<(), End> {
        if header.run != self.target.run {
            return Err(End::Refused("a frame of another run than the opening before it".to_owned()));
        }
        if header.sequence <= self.target.sequence {
            self.fill.shown().counts.again += 1;
            return Ok(());
        }
        let Some(mut writer) = self.target.writer.take() else {
            return Err(End::Refused("a frame came while the stream had no writer".to_owned()));
        };
        let put = self.put(&mut writer, header, payload);
        self.target.writer = Some(writer);
        put?;
        // Of the first frame of a run nobody knows what was before it.
        let missing = match self.target.sequence {
            0 => 0,
            last => header.sequence - last - 1,
        };
        self.target.sequence = header.sequence;
        let mut shown = self.fill.shown();
        let counts = &mut shown.counts;
        counts.frames += 1;
        counts.bytes += header.length;
        counts.lost += missing;
        counts.left_out = header.lost;
        counts.age = Some(clock::stamp().saturating_sub(header.stamp));
        self.status.lost = counts.lost;
        Ok(())
    }

    fn put(&mut self, writer: &mut Writer, header: &Header, payload: &ZBytes) -> Result<(), End> {
        let most = writer.max_frame_size();
        if header.length == 0 || header.length > most {
            return Err(End::Refused(format!(
                "a frame of {} bytes came; the ring of buffer '{}' takes 1 to {most}: create it with at least {} bytes",
                header.length,
                self.fill.ring,
                header.length.saturating_add(16).saturating_mul(2)
            )));
        }
        let (offers, stop) = (&self.fill.offers, self.stop);
        let mut status = self.status.clone();
        status.received = self.inbox.received(status.epoch).max(status.taken);
        (status.run, status.sequence) = (self.target.run, self.target.sequence);
        let (fill, back, sender, inbox) = (self.fill, &self.back, self.sender, self.inbox);
        let mut told = Instant::now();
        let mut go_on = || {
            if told.elapsed() >= TELL {
                fill.say(&status, back);
                told = Instant::now();
            }
            if stop.is_set() || !offers.has(sender) || inbox.broken().is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut patience = Patience::forever().asking(&mut go_on);
        // The length is that of the bytes that are here.
        let mut loan = writer.loan_with(payload.len(), &mut patience).map_err(|error| match error {
            Error::Full { .. } => inbox.broken().map_or(End::SenderGone, End::Refused),
            Error::ReaderGone { .. } | Error::Closed { .. } => End::RingGone,
            error => End::Refused(error.to_string()),
        })?;
        let mut room = &mut loan[..];
        for slice in payload.slices() {
            let Some((target, rest)) = std::mem::take(&mut room).split_at_mut_checked(slice.len()) else {
                return Err(End::Refused("a frame is longer than it says".to_owned()));
            };
            target.copy_from_slice(slice);
            room = rest;
        }
        loan.commit().map(drop).map_err(|error| match error {
            Error::ReaderGone { .. } => End::RingGone,
            error => End::Refused(error.to_string()),
        })
    }
}
