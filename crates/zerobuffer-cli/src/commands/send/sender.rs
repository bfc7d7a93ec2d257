//! A stream on its way into a buffer, over as many readers as it takes.
use std::time::Instant;

use zerobuffer::{Error, FullRingPolicy, Writer, WriterConfig, observe};
use zerobuffer_video::{Clock, Stamp};

use super::{Args, FullRing, said_rate};
use crate::caps::{Description, Found};
use crate::commands::channel::block_for;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::join::{self, Current};
use crate::rate::{Pacer, Rate};
use crate::source::{Layout, Source};
use crate::status::{Progress, Status};
use crate::{say, signals, size, time};

/// The writer, and what was sent.
pub(super) struct Sender<'a> {
    args: &'a Args,
    config: WriterConfig,
    writer: Writer,
    current: Current,
    /// The metadata for each reader.
    json: Vec<u8>,
    dropped: u64,
    reconnects: u64,
}

/// What has become of a frame.
enum Put {
    Sent,
    /// Not read from the input yet.
    Refused(Error),
    /// Read from the input, and not sent.
    Lost(Error),
}

/// What was sent in all.
#[derive(Debug)]
pub(super) struct Total {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) reconnects: u64,
}

impl<'a> Sender<'a> {
    /// Waits for the first reader.
    pub(super) fn connect(args: &'a Args, description: &Description) -> Result<Sender<'a>, Fail> {
        let policy = match args.full {
            FullRing::Block => FullRingPolicy::Block,
            // Refused by the library; for dropping, this command must skip the frame in the input
            // itself.
            FullRing::Refuse | FullRing::Drop => FullRingPolicy::Refuse,
        };
        let config = WriterConfig::default()
            .write_timeout(args.timeout)
            .full_ring(policy)
            .owner(args.owner.unwrap_or_default());
        let writer = join::connect(&args.name, &config, args.wait)?;
        let current = Current::new(&writer);
        let json = description.to_json();
        Ok(Sender { args, config, writer, current, json, dropped: 0, reconnects: 0 })
    }

    /// Sends the whole input.
    pub(super) fn run(&mut self, source: &mut Source, rate: Option<Rate>) -> Result<(), Fail> {
        self.greet(source)?;
        if !self.args.reconnect {
            let handle = self.writer.handle();
            source.input().watch(move || {
                if handle.is_reader_connected() {
                    return Ok(());
                }
                let frames = join::frames(handle.stats().frames);
                Err(Fail::new(
                    Exit::PeerGone,
                    format!(
                        "the reader of '{}' went away while waiting for input; {frames} sent",
                        handle.name()
                    ),
                ))
            });
        }
        let name = &self.args.name;
        say::note(&format!("sending to '{name}', frames of {}", size::human(source.frame_size())));
        let current = self.current.clone();
        let _status = Status::start(name, source.input().seekable(), move || {
            let (frames, bytes) = current.sent();
            Progress { frames, bytes, lost: 0, fill: current.handle().utilization() }
        });
        self.stream(source, rate)
    }

    /// What a new reader must take before the first frame.
    fn greet(&mut self, source: &Source) -> Result<(), Fail> {
        check_size(&self.writer, source.frame_size().saturating_add(self.prefix() as u64))?;
        if self.args.no_metadata { Ok(()) } else { describe(&mut self.writer, self.args, &self.json) }
    }

    /// Bytes in front of each frame.
    fn prefix(&self) -> usize {
        if self.args.stamp { Stamp::SIZE } else { 0 }
    }

    fn stream(&mut self, source: &mut Source, rate: Option<Rate>) -> Result<(), Fail> {
        let args = self.args;
        let mut pacer = rate.map(|rate| Pacer::new(rate, Instant::now()));
        let frame_size = usize::try_from(source.frame_size()).unwrap_or(usize::MAX);
        let mut skipped = Vec::new();
        let mut seen = 0u64;
        while args.frames.is_none_or(|limit| seen < limit) {
            if !source.advance()? {
                if !args.repeat {
                    break;
                }
                source.rewind()?;
                continue;
            }
            if let Some(pacer) = &mut pacer
                && signals::sleep(pacer.next_delay(Instant::now()))
            {
                return Err(signals::interrupted(&self.done()));
            }
            if args.reconnect && !self.writer.is_reader_connected() {
                self.reconnect(source)?;
            }
            match self.put(source, frame_size, seen)? {
                // What is in the ring of a reader that has gone is lost, this frame with it.
                Put::Sent => {}
                Put::Lost(Error::ReaderGone { .. }) if args.reconnect => {}
                Put::Refused(Error::ReaderGone { .. }) if args.reconnect => {
                    self.reconnect(source)?;
                    continue;
                }
                Put::Refused(Error::Full { .. }) if args.full == FullRing::Drop => {
                    // The pipe must be emptied all the same, or its program would stall instead of
                    // this frame being lost.
                    skipped.resize(frame_size, 0);
                    source.read(&mut skipped)?;
                    self.dropped += 1;
                }
                Put::Refused(error) | Put::Lost(error) => return Err(join::ended(error, &self.done())),
            }
            seen += 1;
        }
        Ok(())
    }

    /// Reads the next frame of the input into the ring.
    fn put(&mut self, source: &mut Source, size: usize, number: u64) -> Result<Put, Fail> {
        let prefix = self.prefix();
        let mut frame = match self.writer.loan(size.saturating_add(prefix)) {
            Ok(frame) => frame,
            Err(error) => return Ok(Put::Refused(error)),
        };
        if let Some((head, pixels)) = frame.split_at_mut_checked(prefix) {
            source.read(pixels)?;
            if self.args.stamp {
                // After the frame has come: that is its time where the rate does not tell it.
                let time = stream_rate(self.args, source).map_or_else(time::monotonic_ns, |rate| {
                    u64::try_from(rate.due(number).as_nanos()).unwrap_or(u64::MAX)
                });
                let stamp = Stamp { number: Some(number), time_ns: Some(time), exposure_us: None };
                head.copy_from_slice(&stamp.to_bytes());
            }
        }
        Ok(frame.commit().map_or_else(Put::Lost, |_| Put::Sent))
    }

    /// Waits for the next reader.
    fn reconnect(&mut self, source: &Source) -> Result<(), Fail> {
        say::note(&format!("the reader of '{}' has gone: {}", self.args.name, self.done()));
        self.writer = join::connect(&self.args.name, &self.config, self.args.wait)?;
        self.current.replace(&self.writer);
        self.reconnects += 1;
        self.greet(source)?;
        say::note(&format!("going on with the next reader of '{}'", self.args.name));
        Ok(())
    }

    /// Lets the reader see that somebody was there, and closes.
    pub(super) fn leave(self) -> Total {
        join::let_notice(&self.writer);
        let (frames, bytes) = self.current.sent();
        Total { frames, bytes, dropped: self.dropped, reconnects: self.reconnects }
    }

    /// What was sent so far, for messages.
    fn done(&self) -> String {
        format!("{} sent to '{}'", join::frames(self.current.sent().0), self.args.name)
    }
}

/// Tells before the first frame that none will fit.
fn check_size(writer: &Writer, size: u64) -> Result<(), Fail> {
    let (max, capacity) = (writer.max_frame_size(), writer.capacity());
    if size <= max {
        return Ok(());
    }
    // Room for a few frames, so both ends can work at once.
    let remedy = size.saturating_add(16).saturating_mul(4).checked_next_multiple_of(1 << 20);
    let remedy = size::human(remedy.unwrap_or(size));
    Err(Fail::new(
        Exit::Input,
        format!(
            "frames of {size} bytes do not fit buffer '{}': its ring of {capacity} bytes takes at most {max}; start the reader with a larger one, for instance --ring \"{remedy}\"",
            writer.name()
        ),
    ))
}

/// The rate of the stream, where the user or the header says it.
fn stream_rate(args: &Args, source: &Source) -> Option<Rate> {
    args.fps.or_else(|| said_rate(args, source))
}

/// What the reader learns of the frames.
pub(super) fn description(args: &Args, source: &Source) -> Result<Description, Fail> {
    let description = match source.layout() {
        Layout::Y4m(header) => match &args.caps {
            None => Description::y4m(header, source.parameters()),
            Some(caps) => Description::y4m_with_caps(header, source.parameters(), caps)
                .map_err(|why| Fail::new(Exit::Usage, format!("--caps do not fit the y4m header: {why}")))?,
        },
        Layout::Raw(size) => Description::raw(*size, args.caps.as_deref()).map_err(|why| {
            Fail::new(Exit::Usage, format!("--caps and --size contradict each other: {why}"))
        })?,
    };
    if !args.stamp {
        return Ok(description);
    }
    if description.is_stamped() {
        let message = "the frames of the input have stamps already: send them without --stamp";
        return Err(Fail::new(Exit::Usage, message));
    }
    let clock = if stream_rate(args, source).is_some() { Clock::Pts } else { Clock::Monotonic };
    Ok(description.stamped(clock))
}

/// Writes the stream's description. Beside a legacy reader a second sender must describe its stream
/// alike.
fn describe(writer: &mut Writer, args: &Args, json: &[u8]) -> Result<(), Fail> {
    match writer.set_metadata(json) {
        Ok(()) => Ok(()),
        Err(Error::MetadataTooLarge { size, max, .. }) => Err(Fail::new(
            Exit::Input,
            format!(
                "the description of the stream has {size} bytes, the metadata block of '{name}' holds {max}: start its reader with --metadata {}, or send with --no-metadata",
                block_for(size),
                name = args.name
            ),
        )),
        Err(Error::MetadataAlreadyWritten { .. }) => {
            let present = observe::inspect(&args.name)?.metadata.unwrap_or_default();
            if alike(&present, json) {
                return Ok(());
            }
            Err(Fail::new(
                Exit::Input,
                format!(
                    "buffer '{}' already describes another stream: restart its reader, or send what it describes (`zerobuffer inspect {}` shows it)",
                    args.name, args.name
                ),
            ))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether two descriptions say the same about the frames; their writers may differ.
fn alike(present: &[u8], own: &[u8]) -> bool {
    present == own || matches!((Found::parse(present), Found::parse(own)), (Ok(a), Ok(b)) if a.is_like(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::y4m::Header;

    #[test]
    fn descriptions_are_alike_whoever_wrote_them() {
        let header = Header::parse("YUV4MPEG2 W4 H2 F25:1").unwrap();
        let own = Description::y4m(&header, "").to_json();
        let older = String::from_utf8(own.clone()).unwrap().replace(env!("CARGO_PKG_VERSION"), "1.0");
        assert!(alike(&own, &own));
        assert!(alike(older.as_bytes(), &own));
        let wider = Header::parse("YUV4MPEG2 W8 H2 F25:1").unwrap();
        assert!(!alike(&Description::y4m(&wider, "").to_json(), &own));
        assert!(!alike(&Description::y4m(&header, " Ip").to_json(), &own));
        assert!(!alike(b"hello", &own));
        assert!(!alike(&Description::raw(12, None).unwrap().to_json(), &own));
    }
}
