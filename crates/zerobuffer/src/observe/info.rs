//! What can be seen of a buffer without taking part in it.

use super::walk::walk;
use crate::{
    error::{Error, Result},
    layout::{
        ControlSnapshot, FRAME_HEADER_SIZE, FrameHeader, Geometry, NATIVE_SIZE, NativeSnapshot, NativeWord,
        TOMBSTONE, level,
    },
    liveness::{Facts, KnownBy, NEVER_SEEN, Process},
    ring::{Fault, metadata::content_len},
    sys::{self, Role, Segment, Signal},
};

/// How much metadata a look copies, bytes.
const METADATA_EXCERPT: u64 = 64 * 1024;
/// How often that is repeated because they change under the look.
const METADATA_ATTEMPTS: u32 = 8;

/// One endpoint as the control block names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Process number, in the pid namespace of that process.
    pub pid: u64,
    /// By its presence lock if it is native, else by its process number.
    pub alive: bool,
    /// Capability level; 0 for another implementation.
    pub level: u8,
}

/// A copy of a buffer's state at one moment. The fields are read one after the other while the
/// stream goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BufferInfo {
    /// The buffer's name.
    pub name: String,
    /// Bytes of the metadata block.
    pub metadata_size: u64,
    /// Bytes of the ring.
    pub payload_size: u64,
    /// Bytes of the ring that are free.
    pub free: u64,
    /// Where the writer puts the next frame, byte offset in the ring.
    pub write_pos: u64,
    /// Where the reader takes the next frame, byte offset in the ring.
    pub read_pos: u64,
    /// The number of the last published frame: how many were written. 0 if none was.
    pub last_sequence: u64,
    /// Published frames that the reader has not taken yet.
    pub frames_waiting: u64,
    /// Bytes of frames that wait or are held, headers included.
    pub used: u64,
    /// Frames and wrap markers written.
    pub written_count: u64,
    /// Frames and wrap markers read.
    pub read_count: u64,
    /// The writer, if one is registered.
    pub writer: Option<Peer>,
    /// The reader, if one is registered.
    pub reader: Option<Peer>,
    /// The first 64 KiB of the metadata; `None` if none has been written.
    pub metadata: Option<Vec<u8>>,
    /// Permission bits of the segment; 0 on Windows, which has none.
    pub mode: u32,
    /// Owner of the segment; 0 on Windows.
    pub uid: u32,
    /// Value of the semaphore "a frame is there"; `None` if it cannot be read.
    pub data_tokens: Option<u32>,
    /// Value of the semaphore "space was returned"; `None` if it cannot be read.
    pub space_tokens: Option<u32>,
    /// What is wrong with the segment, in words; empty if nothing is.
    pub defects: Vec<String>,
}

/// Looks at one buffer.
///
/// # Errors
///
/// [`Error::InvalidName`], [`Error::NotFound`], [`Error::PermissionDenied`], [`Error::Os`], and
/// [`Error::Corrupt`] for a file without a control block. Other impossible values are listed as
/// [`BufferInfo::defects`].
pub fn inspect(name: &str) -> Result<BufferInfo> {
    sys::check_name(name)?;
    let segment = Segment::open_read_only(name).map_err(|error| error.of_absent(name))?;
    info(name, &segment)
}

/// Looks at every buffer on the machine that may be read, in the order of names.
///
/// # Errors
///
/// [`Error::Os`] if the shared-memory folder cannot be listed. Files that are no buffers are left
/// out.
pub fn list() -> Result<Vec<BufferInfo>> {
    let names = sys::traces()?.buffers;
    Ok(names.iter().filter_map(|name| inspect(name).ok()).filter(is_a_buffer).collect())
}

/// The names of all buffers on the machine, also of those that are half made or half removed.
pub(crate) fn names() -> Result<Vec<String>> {
    let sys::Traces { buffers, companions } = sys::traces()?;
    let mut names: Vec<_> = buffers.into_iter().chain(companions).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The names of buffers that exist and may not be looked at: another user's, whose mode forbids it.
///
/// # Errors
///
/// [`Error::Os`] if the shared-memory folder cannot be listed.
pub fn unreadable() -> Result<Vec<String>> {
    let sys::Traces { buffers, companions } = sys::traces()?;
    // What cannot be read is known for a buffer by what goes with it.
    let is_closed = |name: &String| {
        companions.binary_search(name).is_ok()
            && matches!(Segment::open_read_only(name), Err(Error::PermissionDenied { .. }))
    };
    Ok(buffers.into_iter().filter(is_closed).collect())
}

/// A foreign file is not listed; a damaged buffer is, as long as its first field is right.
fn is_a_buffer(info: &BufferInfo) -> bool {
    info.payload_size != 0
}

fn info(name: &str, segment: &Segment) -> Result<BufferInfo> {
    let control = segment.control().map(|bytes| ControlSnapshot::from_bytes(&bytes));
    let control = control.filter(|control| control.oieb_size == 128).ok_or_else(|| Error::Corrupt {
        name: name.to_owned(),
        field: "oieb_size",
        value: control.map_or(0, |control| u64::from(control.oieb_size)),
        expected: format!("128, in a segment of at least 128 bytes (it has {})", segment.size),
    })?;
    let geometry = control.geometry(name, segment.size);
    let mut defects: Vec<String> = geometry.as_ref().err().map(ToString::to_string).into_iter().collect();
    for (field, value) in [
        ("payload_free_bytes", control.payload_free),
        ("payload_write_pos", control.write_pos),
        ("payload_read_pos", control.read_pos),
    ] {
        if value > control.payload_size {
            defects.push(format!("{field} = {value}, expected at most {}", control.payload_size));
        }
    }
    let reader = peer(name, segment, Role::Reader, control.reader_pid);
    let has_native = reader.is_some_and(|reader| reader.level >= level::NATIVE);
    let native = geometry.as_ref().ok().filter(|_| has_native);
    let native = native.and_then(|geometry| native_block(name, segment, *geometry));
    let (control, found) = match native.filter(|(_, native)| native.is_native()) {
        Some((geometry, native)) => {
            let (control, contents) = in_native_form(segment, geometry, &native, control);
            (control, Some(contents))
        }
        None => (control, geometry.as_ref().ok().map(|geometry| contents(segment, *geometry, &control))),
    };
    let Contents { mut last_sequence, frames_waiting, used } = found.unwrap_or_default();
    let (mut written_count, mut read_count) = (control.written_count, control.read_count);
    if let Some((_, native)) = native {
        // Whichever form the ring is in, what went before it counts.
        let word = |word| native.word(word);
        last_sequence = last_sequence.max(word(NativeWord::NEXT).saturating_sub(1));
        written_count = written_count.saturating_add(word(NativeWord::FRAMES));
        read_count = read_count.saturating_add(word(NativeWord::FRAMES_TAKEN));
    }
    let whole = native.map(|(geometry, _)| geometry).or(geometry.as_ref().ok().copied());
    let metadata = whole.and_then(|geometry| metadata(segment, geometry, &mut defects));
    Ok(BufferInfo {
        name: name.to_owned(),
        metadata_size: control.metadata_size,
        payload_size: control.payload_size,
        free: control.payload_free,
        write_pos: control.write_pos,
        read_pos: control.read_pos,
        last_sequence,
        frames_waiting,
        used,
        written_count,
        read_count,
        writer: peer(name, segment, Role::Writer, control.writer_pid),
        reader,
        metadata,
        mode: segment.mode & 0o777,
        uid: segment.uid,
        data_tokens: sys::tokens(name, Signal::Data),
        space_tokens: sys::tokens(name, Signal::Space),
        defects,
    })
}

/// Headers of the ring, read in pieces: small frames lie close to each other.
struct Headers<'a> {
    segment: &'a Segment,
    geometry: Geometry,
    chunk: Vec<u8>,
    /// Where in the ring the piece begins.
    from: u64,
}

impl Headers<'_> {
    /// Bytes of a piece.
    const PIECE: u64 = 4096;

    fn get(&mut self, at: u64) -> Option<FrameHeader> {
        if let Some(header) = self.known(at) {
            return Some(header);
        }
        let len = Self::PIECE.min(self.geometry.payload.checked_sub(at)?);
        self.chunk.resize(len as usize, 0);
        self.from = at;
        self.segment.read_at(&mut self.chunk, self.geometry.payload_offset() + at).ok()?;
        self.known(at)
    }

    fn known(&self, at: u64) -> Option<FrameHeader> {
        let start = usize::try_from(at.checked_sub(self.from)?).ok()?;
        let bytes = self.chunk.get(start..start.checked_add(FRAME_HEADER_SIZE as usize)?)?;
        Some(FrameHeader::from_bytes(bytes.try_into().ok()?))
    }
}

#[derive(Default)]
struct Contents {
    last_sequence: u64,
    frames_waiting: u64,
    used: u64,
}

/// What is in the ring. While the stream goes on, the fields may be of different moments.
fn contents(segment: &Segment, geometry: Geometry, control: &ControlSnapshot) -> Contents {
    let mut headers = Headers { segment, geometry, chunk: Vec::new(), from: 0 };
    let mut header = |at| headers.get(at);
    let (capacity, write_pos, read_pos) = (geometry.payload, control.write_pos, control.read_pos);
    let taken = capacity - control.payload_free.min(capacity);
    let same = write_pos % capacity == read_pos % capacity;
    // A ring that is full of held frames looks like one that is full of unread ones: then the
    // counters tell.
    let is_full = same && taken == capacity && control.written_count != control.read_count;
    let unread = walk(read_pos, write_pos, capacity, is_full, &mut header);
    // Without an unread frame, the last one of this lap, or of the lap before it.
    let nothing = control.written_count == 0 && write_pos == 0;
    let last_sequence = if nothing || unread.last > 0 {
        unread.last
    } else {
        let lap = walk(0, write_pos, capacity, write_pos.is_multiple_of(capacity), &mut header);
        if lap.complete { lap.last } else { control.written_count }
    };
    Contents {
        last_sequence,
        frames_waiting: unread.frames,
        used: taken.saturating_sub(if unread.complete { unread.skipped } else { 0 }),
    }
}

/// The native block, if the segment has one, and where it lies.
fn native_block(name: &str, segment: &Segment, geometry: Geometry) -> Option<(Geometry, NativeSnapshot)> {
    let geometry = geometry.with_native_block(name, segment.size).ok()?;
    let mut bytes = [0; NATIVE_SIZE as usize];
    segment.read_at(&mut bytes, geometry.native_offset()).ok()?;
    Some((geometry, NativeSnapshot::from_bytes(&bytes)))
}

/// What is in a ring in native form, and the control block as it would be in legacy form.
fn in_native_form(
    segment: &Segment,
    geometry: Geometry,
    native: &NativeSnapshot,
    control: ControlSnapshot,
) -> (ControlSnapshot, Contents) {
    let word = |word| native.word(word);
    let mut headers = Headers { segment, geometry, chunk: Vec::new(), from: 0 };
    let (last, published) = (word(NativeWord::LAST), word(NativeWord::PUBLISHED));
    // The word may already be that of the frame to come, also for ever, if its writer died then.
    let newest = if last < published {
        native.place(last).and_then(|at| headers.get(at)).map_or(0, |header| header.sequence)
    } else {
        0
    };
    let used = native.used().min(geometry.payload);
    let as_legacy = ControlSnapshot {
        payload_free: geometry.payload - used,
        write_pos: native.place(word(NativeWord::PUBLISHED)).unwrap_or(control.write_pos),
        read_pos: native.place(word(NativeWord::TAKEN)).unwrap_or(control.read_pos),
        ..control
    };
    let contents = Contents { last_sequence: newest, frames_waiting: native.frames_waiting(), used };
    (as_legacy, contents)
}

/// The start of what is in the metadata block. A successor of its writer may replace it meanwhile.
fn metadata(segment: &Segment, geometry: Geometry, defects: &mut Vec<String>) -> Option<Vec<u8>> {
    let state = || {
        let control = ControlSnapshot::from_bytes(&segment.control()?);
        let mut generation = [0; 8];
        if geometry.native {
            let word = NativeWord::METADATA_GENERATION.offset() as u64;
            segment.read_at(&mut generation, geometry.native_offset() + word).ok()?;
        }
        Some((control.metadata_written, generation))
    };
    for _ in 0..METADATA_ATTEMPTS {
        let before = state()?;
        let (written, _) = before;
        if written == 0 {
            return None;
        }
        let len = match content_len(written, geometry.metadata) {
            Ok(len) => len,
            Err(fault) => {
                if let Fault::Field { field, value, expected } = fault {
                    defects.push(format!("{field} = {value}, expected {expected}"));
                }
                return None;
            }
        };
        let mut content = vec![0; len.min(METADATA_EXCERPT) as usize];
        segment.read_at(&mut content, crate::layout::CONTROL_SIZE + 8).ok()?;
        if state()? == before {
            return Some(content);
        }
    }
    None
}

fn peer(name: &str, segment: &Segment, role: Role, pid: u64) -> Option<Peer> {
    if pid == 0 || pid == TOMBSTONE {
        return None;
    }
    // Before and after: one may leave or come meanwhile.
    let before = segment.level(role).unwrap_or(0);
    let held = segment.is_held(role).ok();
    let level = if held == Some(true) { before.max(segment.level(role).unwrap_or(0)) } else { 0 };
    let known = match role {
        Role::Reader if segment.is_marked() => KnownBy::Mark,
        Role::Writer if sys::noted_writer(name, segment) == Some(pid) => KnownBy::Note,
        _ => KnownBy::Nothing,
    };
    let facts = Facts { pid, process: Process::of(pid), known, held, level, still_for: NEVER_SEEN };
    let life = if role == Role::Reader { facts.reader() } else { facts.writer() };
    Some(Peer { pid, alive: life.is_alive(), level })
}
