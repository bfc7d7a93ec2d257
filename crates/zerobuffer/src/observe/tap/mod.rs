//! A tap: a process that may read a buffer's memory sees the frames of its live stream, and
//! disturbs nothing.

mod legacy;
mod life;
mod memory;
mod metadata;
mod native;
mod pace;

use self::{
    life::{Ending, Life},
    memory::{Found, Memory},
    native::{Ahead, From},
    pace::Pace,
};
use crate::{
    config::WAIT_SLICE,
    error::{Error, Result},
    layout::{CONTROL_SIZE, ControlSnapshot, Geometry, NativeWord, TOMBSTONE, level},
    sys::{self, Role, Segment, Watch},
};
use std::{
    io,
    sync::atomic::{Ordering, fence},
    thread,
    time::{Duration, Instant},
};

/// Frames that are lost in one look before it gives up.
const DROPS: u32 = 4;

/// Sees the frames of a live stream without taking part in it.
///
/// A tap needs read permission for the buffer, and nothing else. It takes no lock and no token,
/// writes nothing, and neither end of the stream does or notices anything. Any number of taps may
/// look at one buffer. A tap is lossy: each frame is seen whole or not at all, and what is
/// overwritten before it is copied is missed.
///
/// # What it sees
///
/// A frame stays in the ring until the writer needs its place: at least until the next frame is
/// written. So a tap misses nothing of a paced stream if `d + c < T`. Here `d` is the longest time
/// between two looks, `c` the time of one copy and `T` the time between two frames. With
/// [`WriterConfig::whole_ring`](crate::WriterConfig::whole_ring) a frame lives for 13/14 of a lap
/// less one frame. To record, make a ring of `ceil((1 + (d + c) / T) * 14 / 13)` frames, and of one
/// more if sizes vary.
///
/// If either end is of another implementation, only frames are seen that its reader has not taken
/// yet: [`Tap::unsupported`] says so.
///
/// A reader that changes a frame in place ([`Frame::data_mut`](crate::Frame::data_mut)) is seen
/// while it does. So is a writer that stores into a loan after its commit.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{BufferConfig, Reader, Writer, observe::Tap};
///
/// let name = format!("doc-tap-{}", std::process::id());
/// let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16))?;
/// let mut writer = Writer::connect(&name)?;
/// let mut tap = Tap::open(&name)?;
/// writer.write(b"a frame")?;
/// let mut bytes = Vec::new();
/// let seen = tap.next(&mut bytes, Duration::from_secs(1))?.expect("a frame is there");
/// assert_eq!((seen.sequence, &bytes[..]), (1, &b"a frame"[..]));
/// // The reader has it too.
/// assert_eq!(&reader.read()?[..], b"a frame");
/// # Ok::<(), zerobuffer::Error>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    name: String,
    /// Closed when the buffer has ended: it keeps the memory of a removed buffer.
    watch: Option<Watch>,
    geometry: Geometry,
    reader: u64,
    free_sequences: bool,
    /// In native form: the byte of the stream with which to go on.
    position: Option<u64>,
    ahead: Ahead,
    /// The number of the frame that was delivered last.
    last: Option<u64>,
    missed: u64,
    legacy: bool,
    overrun: bool,
    life: Life,
    pace: Pace,
}

/// A frame that a tap has copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapFrame {
    /// Its number.
    pub sequence: u64,
    /// Frames between the one that this tap delivered before and this one. `None` if the writer
    /// chooses the numbers freely, so they do not show it (requests and responses of a duplex
    /// channel).
    pub skipped: Option<u64>,
}

/// How it is with the stream that a tap looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TapState {
    /// A writer is attached.
    Live,
    /// No writer is attached. What the last one has left is delivered all the same.
    NoWriter,
    /// The last look found frames, and each was overwritten before it was copied.
    Overrun,
    /// The reader closed or died, or the buffer lost its name. Another buffer of that name can be
    /// opened anew.
    Ended,
}

/// Which frame a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Next,
    Latest,
}

impl Memory for Watch {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_at(into, at)?;
        // This read comes before all later ones, the kernel's loads too. Those run on the same
        // processor, or on another one behind the full barrier of a migration.
        fence(Ordering::Acquire);
        Ok(())
    }
}

impl Tap {
    /// Opens a buffer to be looked at. It begins with the newest frame that is there, or with the
    /// first one to come.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::InvalidName`], [`Error::PermissionDenied`],
    /// [`Error::NotReady`] for one that is just being created, [`Error::Version`],
    /// [`Error::Corrupt`] for impossible sizes, and [`Error::Os`].
    pub fn open(name: &str) -> Result<Self> {
        sys::check_name(name)?;
        let segment = Segment::open_read_only(name).map_err(|error| error.of_absent(name))?;
        let watch = segment.watch().map_err(|error| Error::os("look into", sys::shm_path(name), error))?;
        let not_ready =
            || Error::NotReady { name: name.to_owned(), reason: "its reader is just creating it" };
        let mut bytes = [0; CONTROL_SIZE as usize];
        watch.read(0, &mut bytes).map_err(|_| not_ready())?;
        let control = ControlSnapshot::from_bytes(&bytes);
        if control.oieb_size == 0 {
            return Err(not_ready());
        }
        let geometry = control.geometry(name, watch.size)?;
        // Without the block the ring is in legacy form for ever.
        let geometry = geometry.with_native_block(name, watch.size).unwrap_or(geometry);
        let free_sequences = watch.level(Role::Reader).is_ok_and(|level| level >= level::FREE_SEQUENCES);
        Ok(Self {
            name: name.to_owned(),
            watch: Some(watch),
            geometry,
            reader: control.reader_pid,
            free_sequences,
            position: None,
            ahead: Ahead::default(),
            last: None,
            missed: 0,
            legacy: false,
            overrun: false,
            life: Life::default(),
            pace: Pace::default(),
        })
    }

    /// Copies the next frame into `into`, and waits for it for at most `timeout`. `Ok(None)`: none
    /// came.
    ///
    /// It goes on from the frame that was delivered last. If that one's successor is overwritten,
    /// it goes on from the newest frame, and [`TapFrame::skipped`] tells how many were missed.
    ///
    /// # Errors
    ///
    /// [`Error::ReaderGone`] once the buffer has ended and nothing is left to be seen.
    /// [`Error::Corrupt`] for a frame that cannot be one or a file that was shortened.
    /// [`Error::Os`].
    pub fn next(&mut self, into: &mut Vec<u8>, timeout: Duration) -> Result<Option<TapFrame>> {
        self.wait(Want::Next, into, timeout)
    }

    /// Copies the newest frame, if it is newer than the one that was delivered last; else waits for
    /// one for at most `timeout`. The frames before it are passed over and do not count as missed.
    ///
    /// # Errors
    ///
    /// As [`Tap::next`].
    pub fn latest(&mut self, into: &mut Vec<u8>, timeout: Duration) -> Result<Option<TapFrame>> {
        self.wait(Want::Latest, into, timeout)
    }

    /// The metadata, as they are now; `None` if there are none.
    ///
    /// # Errors
    ///
    /// [`Error::ReaderGone`] after the end, [`Error::Corrupt`] for an impossible length, and
    /// [`Error::Os`].
    pub fn metadata(&self) -> Result<Option<Vec<u8>>> {
        metadata::read(self.watch()?, self.geometry, &self.name)
            .unwrap_or_else(|error| Err(self.failed(error)))
    }

    /// Frames that [`Tap::next`] has missed, over all calls. `None` if the numbers of the frames do
    /// not tell.
    #[must_use]
    pub fn missed(&self) -> Option<u64> {
        (!self.free_sequences).then_some(self.missed)
    }

    /// How it is with the stream now.
    ///
    /// A reader that died is known for dead by two questions at least 50 ms apart; [`Tap::next`]
    /// asks while it waits.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the file was shortened, and [`Error::Os`].
    pub fn state(&mut self) -> Result<TapState> {
        let Some(watch) = &self.watch else { return Ok(TapState::Ended) };
        let control = control(watch).map_err(|error| self.failed(error))?;
        self.life.ask(watch, control.reader_pid, Instant::now());
        Ok(if self.life.ended.is_some() {
            TapState::Ended
        } else if self.overrun {
            TapState::Overrun
        } else if control.writer_pid == 0 || control.writer_pid == TOMBSTONE {
            TapState::NoWriter
        } else {
            TapState::Live
        })
    }

    /// Whether the buffer has ended since its reader died, and was not closed.
    #[must_use]
    pub fn reader_died(&self) -> bool {
        self.life.ended == Some(Ending::Died)
    }

    /// Why this tap sees only frames that the reader has not taken yet; `None` if it sees all it
    /// can copy in time.
    #[must_use]
    pub fn unsupported(&self) -> Option<&'static str> {
        self.legacy.then_some(
            "an end of this buffer is of another implementation: only frames are seen that its reader has not taken yet",
        )
    }

    /// The buffer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the ring.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.geometry.payload
    }

    fn watch(&self) -> Result<&Watch> {
        self.watch.as_ref().ok_or_else(|| self.gone())
    }

    fn gone(&self) -> Error {
        let ending = self.life.ended.unwrap_or(Ending::Closed);
        Error::ReaderGone { name: self.name.clone(), pid: self.reader, reason: ending.reason() }
    }

    fn failed(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let expected = format!("at least {} bytes: the file was shortened", self.geometry.segment());
            return self.corrupt("segment size", 0, expected);
        }
        Error::os("read", sys::shm_path(&self.name), error)
    }

    fn corrupt(&self, field: &'static str, value: u64, expected: String) -> Error {
        Error::Corrupt { name: self.name.clone(), field, value, expected }
    }

    fn wait(&mut self, want: Want, into: &mut Vec<u8>, timeout: Duration) -> Result<Option<TapFrame>> {
        let until = Instant::now().checked_add(timeout);
        loop {
            let before = self.progress()?;
            if let Some(frame) = self.look(want, into)? {
                return Ok(Some(frame));
            }
            if self.life.ended.is_some() {
                self.watch = None;
                return Err(self.gone());
            }
            loop {
                let now = Instant::now();
                if self.life.is_due(now) {
                    self.ask(now)?;
                    if self.life.ended.is_some() {
                        // What came before the end is delivered.
                        break;
                    }
                }
                let left = until.map_or(WAIT_SLICE, |until| until.saturating_duration_since(now));
                if left.is_zero() {
                    return Ok(None);
                }
                thread::sleep(self.pace.pause(Instant::now()).min(left));
                if self.overrun || self.progress()? != before {
                    break;
                }
            }
        }
    }

    fn ask(&mut self, now: Instant) -> Result<()> {
        let watch = self.watch()?;
        let control = control(watch).map_err(|error| self.failed(error))?;
        if let Some(watch) = &self.watch {
            self.life.ask(watch, control.reader_pid, now);
        }
        Ok(())
    }

    /// Words that change when a frame is published, or the form of the ring.
    fn progress(&self) -> Result<[u64; 3]> {
        let watch = self.watch()?;
        let words = || {
            let mut form = 0;
            if self.geometry.native {
                let mut bytes = [0; NativeWord::FORM.offset() + 8];
                watch.read(self.geometry.native_offset(), &mut bytes)?;
                let word = |word: NativeWord| {
                    let bytes = bytes.get(word.offset()..).and_then(|bytes| bytes.first_chunk());
                    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
                };
                form = word(NativeWord::FORM);
                if form % 2 == 1 {
                    return Ok([form, word(NativeWord::PUBLISHED), 0]);
                }
            }
            let control = control(watch)?;
            Ok([form, control.write_pos, control.written_count])
        };
        words().map_err(|error| self.failed(error))
    }

    /// Looks once.
    fn look(&mut self, want: Want, into: &mut Vec<u8>) -> Result<Option<TapFrame>> {
        if want == Want::Next
            && let Some(found) = self.ahead.take(into)
        {
            return Ok(self.deliver(want, found, false));
        }
        self.overrun = false;
        for drops in 0..DROPS {
            let found = self.find(want, drops == 0, into).map_err(|error| self.failed(error))?;
            match found {
                Found::Whole { .. } => return Ok(self.deliver(want, found, true)),
                Found::Nothing { .. } | Found::OtherForm => return Ok(None),
                Found::Lost => {}
                Found::Impossible { size, most } => {
                    return Err(self.corrupt("frame payload size", size, format!("1 to {most}")));
                }
            }
        }
        self.overrun = true;
        Ok(None)
    }

    fn find(&mut self, want: Want, is_first: bool, into: &mut Vec<u8>) -> io::Result<Found> {
        let Some(watch) = &self.watch else { return Ok(Found::OtherForm) };
        let (start, capacity) = (self.geometry.payload_offset(), self.geometry.payload);
        let block = self.geometry.native.then(|| self.geometry.native_offset());
        if let Some(block) = block {
            let from = match self.position {
                Some(position) if want == Want::Next && is_first => From::Byte(position),
                position => From::Newest { after: position.unwrap_or(0) },
            };
            let ring = native::Ring { start, capacity, block };
            let found = native::look(watch, ring, from, &mut self.ahead, into)?;
            if found != Found::OtherForm {
                self.legacy = false;
                match found {
                    Found::Whole { end, .. } => self.position = Some(end),
                    Found::Nothing { next } => self.position = self.position.or(Some(next)),
                    _ => {}
                }
                return Ok(found);
            }
        }
        let ring = legacy::Ring { start, capacity, block };
        let found = legacy::look(
            watch,
            ring,
            legacy::Want { newest: want == Want::Latest, behind: self.last },
            into,
        )?;
        // A buffer in which nothing was written in legacy form waits for its first writer.
        self.legacy = block.is_none() || control(watch)?.written_count > 0;
        Ok(found)
    }

    fn deliver(&mut self, want: Want, found: Found, is_look: bool) -> Option<TapFrame> {
        let Found::Whole { sequence, end } = found else { return None };
        if !is_look {
            self.position = Some(end);
        }
        let between = match self.last.replace(sequence) {
            Some(last) => sequence.saturating_sub(last.saturating_add(1)),
            None => 0,
        };
        let skipped = (!self.free_sequences).then_some(between);
        if want == Want::Next {
            self.missed = self.missed.saturating_add(skipped.unwrap_or(0));
        }
        self.pace.pass(skipped.unwrap_or(0).saturating_add(1));
        if is_look {
            self.pace.find(Instant::now());
        }
        Some(TapFrame { sequence, skipped })
    }
}

fn control(memory: &impl Memory) -> io::Result<ControlSnapshot> {
    let mut bytes = [0; CONTROL_SIZE as usize];
    memory.read(0, &mut bytes)?;
    Ok(ControlSnapshot::from_bytes(&bytes))
}
