//! A recording: one MCAP file, or several of them one after the other.
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mcap::records::MessageHeader;
use mcap::{McapError, WriteOptions, Writer};
use zerobuffer_video::{Clock, Description, Stamp};

use super::foxglove::{self, Images, Kind};
use super::guard::Guard;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::text;

/// Bytes of a chunk: what a killed recorder loses at most, with the frame that completes it.
const CHUNK: u64 = 4 << 20;
/// How old a chunk may become.
const AGE: Duration = Duration::from_secs(1);
/// How messages are encoded: frames as they are in the ring.
pub(crate) const ENCODING: &str = "zerobuffer";
/// Keys of a channel: the metadata block of the buffer, as text where it is text, and the size of
/// its ring.
pub(crate) const METADATA: &str = "metadata";
pub(crate) const METADATA_HEX: &str = "metadata_hex";
const RING: &str = "ring_bytes";

/// When to begin another file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Split {
    pub(super) size: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// A frame, and all that is recorded of it.
pub(super) struct Taken<'a> {
    pub(super) topic: &'a str,
    pub(super) metadata: &'a [u8],
    pub(super) ring_bytes: u64,
    pub(super) sequence: u64,
    /// When it arrived, in nanoseconds since 1970.
    pub(super) arrived: u64,
    pub(super) data: &'a [u8],
}

/// A frame's own time, in nanoseconds since 1970, where its stamp has that.
pub(super) fn own_time(description: &Description, data: &[u8]) -> Option<u64> {
    let is_there = description.stamped == Some(true) && description.clock == Some(Clock::Realtime);
    Stamp::split(data).filter(|_| is_there)?.0.time_ns
}

/// A channel: what its frames belong to.
struct Channel {
    id: u16,
    description: Description,
}

pub(super) struct Recording {
    path: PathBuf,
    split: Split,
    force: bool,
    /// Where frames are recorded as images.
    images: Option<Images>,
    /// Frames that were no pictures although their stream is one.
    pub(super) left_out: u64,
    /// Files so far.
    pub(super) files: Vec<PathBuf>,
    open: Open,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

/// The file that is written now.
struct Open {
    writer: Writer<Guard>,
    guard: Guard,
    started: Instant,
    /// Bytes since the last chunk ended, and when the first of them came.
    pending: u64,
    since: Instant,
    /// By topic and metadata: a writer with other metadata has a channel of its own.
    channels: HashMap<(String, Vec<u8>), Channel>,
    schemas: Schemas,
}

impl Recording {
    /// `images`: frames become images for Foxglove.
    pub(super) fn create(path: &Path, split: Split, force: bool, images: bool) -> Result<Recording, Fail> {
        let first = numbered(path, split, 0);
        let open = Open::create(&first, force)?;
        Ok(Recording {
            path: path.to_owned(),
            split,
            force,
            images: images.then(Images::default),
            left_out: 0,
            files: vec![first],
            open,
            frames: 0,
            bytes: 0,
        })
    }

    pub(super) fn write(&mut self, taken: &Taken<'_>) -> Result<(), Fail> {
        let file_bytes = self.open.guard.position() + self.open.pending;
        let too_large = self.split.size.is_some_and(|most| file_bytes + taken.data.len() as u64 > most);
        let too_long = self.split.time.is_some_and(|most| self.open.started.elapsed() >= most);
        if (too_large || too_long) && !self.open.channels.is_empty() {
            self.finish()?;
            let next = numbered(&self.path, self.split, self.files.len());
            self.open = Open::create(&next, self.force)?;
            self.files.push(next);
        }
        let message = match &mut self.images {
            None => (None, taken.data),
            Some(images) => {
                let Some((kind, image)) = images.of(taken)? else {
                    self.left_out += 1;
                    return Ok(());
                };
                (Some(kind), image)
            }
        };
        let written = self.open.write(taken, message);
        written.map_err(|error| self.failed(&error))?;
        self.frames += 1;
        self.bytes += taken.data.len() as u64;
        Ok(())
    }

    /// Ends a chunk that has become old.
    pub(super) fn tick(&mut self) -> Result<(), Fail> {
        if self.open.pending > 0 && self.open.since.elapsed() >= AGE {
            self.open.end_chunk().map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// Completes the file.
    pub(super) fn finish(&mut self) -> Result<(), Fail> {
        let ended = self.open.end_chunk().and_then(|()| self.open.writer.finish().map(drop));
        ended.map_err(|error| self.failed(&error))
    }

    /// What a failed write comes to: the file is closed with what is whole of it.
    fn failed(&mut self, error: &McapError) -> Fail {
        let path = self.files.last().map_or_else(String::new, |path| path.display().to_string());
        let error = match error {
            McapError::Io(error) => io::Error::from(error.kind()),
            other => io::Error::other(other.to_string()),
        };
        let fail = Fail::io(format_args!("cannot write to {path} after {} bytes", self.bytes), &error);
        let fail = match self.open.guard.close_early() {
            Ok(()) => fail.hint("what it holds up to there is whole"),
            Err(error) => fail.hint(format_args!("and it could not be closed: {error}")),
        };
        if error.kind() == io::ErrorKind::StorageFull { fail.hint("free some space") } else { fail }
    }
}

impl Open {
    fn create(path: &Path, force: bool) -> Result<Open, Fail> {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Fail::new(
                Exit::Failure,
                format!("{} exists: name another --output, or give --force to replace it", path.display()),
            ),
            _ => Fail::io(format_args!("cannot make {}", path.display()), error),
        };
        let mut options = File::options();
        options.write(true).create_new(!force).create(true).truncate(force);
        let guard = Guard::new(options.open(path).map_err(|error| failed(&error))?);
        let options = WriteOptions::new()
            .compression(None)
            // Chunks end where `end_chunk` says, and are written whole.
            .chunk_size(None)
            .disable_seeking(true)
            .profile("")
            .library(concat!("zerobuffer ", env!("CARGO_PKG_VERSION")));
        let mut writer = options.create(guard.clone()).map_err(|error| failed(&io::Error::other(error)))?;
        writer.flush().map_err(|error| failed(&io::Error::other(error)))?;
        let now = Instant::now();
        Ok(Open {
            writer,
            guard,
            started: now,
            pending: 0,
            since: now,
            channels: HashMap::new(),
            schemas: Schemas::default(),
        })
    }

    /// Writes a frame as it is, or the image that was made of it.
    fn write(&mut self, taken: &Taken<'_>, (kind, data): (Option<Kind>, &[u8])) -> Result<(), McapError> {
        let key = (taken.topic.to_owned(), taken.metadata.to_owned());
        let channel = match self.channels.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                // The library gives one number to channels that are alike, so this is one that is
                // not yet there.
                let schema = self.schemas.of(kind, &mut self.writer)?;
                let encoding = if kind.is_some() { foxglove::ENCODING } else { ENCODING };
                let id = self.writer.add_channel(schema, taken.topic, encoding, &about(taken))?;
                let description = Description::parse(taken.metadata).unwrap_or_default();
                entry.insert(Channel { id, description })
            }
        };
        let header = MessageHeader {
            channel_id: channel.id,
            // The format has 32 bits for it; they wrap.
            sequence: taken.sequence as u32,
            log_time: taken.arrived,
            publish_time: own_time(&channel.description, taken.data).unwrap_or(taken.arrived),
        };
        if self.pending == 0 {
            self.since = Instant::now();
        }
        self.writer.write_to_known_channel(&header, data)?;
        self.pending += data.len() as u64;
        if self.pending >= CHUNK || self.since.elapsed() >= AGE { self.end_chunk() } else { Ok(()) }
    }

    fn end_chunk(&mut self) -> Result<(), McapError> {
        self.pending = 0;
        self.writer.flush()
    }
}

/// Numbers of the schemas that a file has.
#[derive(Debug, Default)]
struct Schemas {
    raw: Option<u16>,
    compressed: Option<u16>,
}

impl Schemas {
    /// 0: frames as they are have none.
    fn of(&mut self, kind: Option<Kind>, writer: &mut Writer<Guard>) -> Result<u16, McapError> {
        let Some(kind) = kind else { return Ok(0) };
        let known = match kind {
            Kind::Raw => &mut self.raw,
            Kind::Compressed => &mut self.compressed,
        };
        if let Some(id) = *known {
            return Ok(id);
        }
        Ok(*known.insert(writer.add_schema(kind.name(), foxglove::ENCODING, &kind.schema())?))
    }
}

/// What a channel says of its buffer.
fn about(taken: &Taken<'_>) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::from([(String::from(RING), taken.ring_bytes.to_string())]);
    match std::str::from_utf8(taken.metadata) {
        Ok("") => {}
        Ok(text) => drop(keys.insert(String::from(METADATA), text.to_owned())),
        Err(_) => drop(keys.insert(String::from(METADATA_HEX), text::hex(taken.metadata))),
    }
    keys
}

/// `day.mcap` as it is, or `day-000.mcap` and so on where a recording is split.
fn numbered(path: &Path, split: Split, index: usize) -> PathBuf {
    if split.size.is_none() && split.time.is_none() {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = path.extension().map_or_else(|| String::from("mcap"), |end| end.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{index:03}.{end}"))
}
