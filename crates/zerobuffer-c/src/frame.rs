//! Frames: data, size, number, and giving them back.

use crate::{
    arguments::Out,
    bias::Bias,
    border::{border, border_or},
    fault::Fault,
    slots::{Kind, Place, Slots},
    status::zb_status::{self, ZB_INVALID_HANDLE, ZB_NO_SPACE, ZB_OK},
};
use std::{
    cell::UnsafeCell,
    ffi::c_void,
    mem, ptr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence},
    },
    thread,
};
use zerobuffer::{Frame, NewestFrame};

/// A received frame. Its data stay where they are until it is released, also after its reader was
/// closed. Any thread may use and release it.
#[derive(Debug)]
pub struct zb_frame {
    _opaque: (),
}

/// What a frame holds.
pub(crate) enum Held {
    /// Space of a ring.
    Ring(Frame),
    /// A copy of its own.
    Copy(Box<NewestFrame>),
}

impl Held {
    pub(crate) fn data(&self) -> &[u8] {
        match self {
            Self::Ring(frame) => frame.data(),
            Self::Copy(frame) => frame.data(),
        }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Ring(frame) => frame.data_mut(),
            Self::Copy(frame) => frame.data_mut(),
        }
    }
}

/// The place of one frame.
#[derive(Default)]
struct FramePlace {
    /// The handle; [`FREE`], or [`RELEASING`].
    live: AtomicU64,
    /// The owner releases without a locked operation.
    bias: Bias,
    data: AtomicPtr<u8>,
    size: AtomicUsize,
    sequence: AtomicU64,
    frame: UnsafeCell<Option<Held>>,
    uses: AtomicU64,
}

/// The owner of the place may put a frame in.
const FREE: u64 = 0;
/// A thread has ended the use of the handle, and is alone with the frame.
const RELEASING: u64 = 1;

// SAFETY: `frame` is put in by the place's owner before the handle goes live. It is taken out by
// the one thread that has ended that. That thread frees the place when it is done, by a release
// store; nobody else uses the frame.
unsafe impl Sync for FramePlace {}

impl Place for FramePlace {
    fn uses(&self) -> &AtomicU64 {
        &self.uses
    }
}

impl FramePlace {
    #[inline]
    fn is_free(&self) -> bool {
        self.live.load(Ordering::Acquire) == FREE
    }
}

static FRAMES: Slots<FramePlace> = Slots::new(Kind::Frame);

/// Places whose owner has gone while their frames were held.
static ORPHANS: Mutex<Vec<Owned>> = Mutex::new(Vec::new());

/// For frames that any thread may receive at any time.
static SHARED: Mutex<Places> = Mutex::new(Places::new());

/// A place that only its owner puts frames in.
#[derive(Clone, Copy)]
pub(crate) struct Owned {
    index: u32,
    place: &'static FramePlace,
}

impl Owned {
    /// Puts a frame in, which [`Places::free`] has found free since.
    #[inline(always)]
    pub(crate) fn put(self, frame: Held, sequence: u64) -> Handed {
        let Self { index, place } = self;
        // SAFETY: the place is free, and its owner is here. So nothing is in it that would have to
        // be dropped.
        unsafe { place.frame.get().write(Some(frame)) };
        // SAFETY: as above.
        let held = unsafe { (*place.frame.get()).as_mut() }.map(Held::data_mut).unwrap_or_default();
        let (data, size) = (held.as_mut_ptr(), held.len());
        place.data.store(data, Ordering::Relaxed);
        place.size.store(size, Ordering::Relaxed);
        place.sequence.store(sequence, Ordering::Relaxed);
        let handle = FRAMES.next_handle(index, place);
        place.live.store(handle, Ordering::Release);
        Handed { frame: handle as usize as *mut zb_frame, data: data.cast(), size, sequence }
    }
}

#[cold]
fn too_many() -> Fault {
    Fault::new(ZB_NO_SPACE, "a million frames are held: release some")
}

/// A frame that a caller gets.
pub(crate) struct Handed {
    pub(crate) frame: *mut zb_frame,
    data: *mut c_void,
    size: usize,
    sequence: u64,
}

/// Where a caller wants to know of a frame.
pub(crate) struct Seen {
    data: Option<Out<*mut c_void>>,
    size: Option<Out<usize>>,
    sequence: Option<Out<u64>>,
}

impl Seen {
    /// # Safety
    ///
    /// Each is NULL or can be written to during the call.
    #[inline(always)]
    pub(crate) unsafe fn new(data: *mut *mut c_void, size: *mut usize, sequence: *mut u64) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self { data: Out::optional(data), size: Out::optional(size), sequence: Out::optional(sequence) }
        }
    }

    #[inline(always)]
    pub(crate) fn tell(&self, data: *mut c_void, size: usize, sequence: u64) {
        if let Some(out) = &self.data {
            out.set(data);
        }
        if let Some(out) = &self.size {
            out.set(size);
        }
        if let Some(out) = &self.sequence {
            out.set(sequence);
        }
    }

    #[inline(always)]
    pub(crate) fn tell_of(&self, handed: &Handed) {
        self.tell(handed.data, handed.size, handed.sequence);
    }
}

/// The places of one reader. The thread that receives the next frame needs no lock. A release frees
/// the place, and leaves it to its owner.
pub(crate) struct Places {
    own: Vec<Owned>,
    at: usize,
}

/// How many places are looked at before there are more of them.
const LOOKS: usize = 4;
/// The fewest and the most that are added at a time.
const STEPS: (usize, usize) = (2, 256);

impl Places {
    pub(crate) const fn new() -> Self {
        Self { own: Vec::new(), at: 0 }
    }

    /// A place for the next frame. Inlined, and asked for first, so the frame is made where it
    /// stays.
    #[inline(always)]
    pub(crate) fn free(&mut self) -> Result<Owned, Fault> {
        match self.own.get(self.at) {
            Some(last) if last.place.is_free() => Ok(*last),
            _ => self.search().ok_or_else(too_many),
        }
    }

    /// A handle for a frame; `sequence` is what it shows as its number.
    pub(crate) fn insert(&mut self, frame: Held, sequence: u64) -> Result<Handed, Fault> {
        Ok(self.free()?.put(frame, sequence))
    }

    /// The place after the last one, as frames are mostly released in turn; or another one.
    #[inline(never)]
    fn search(&mut self) -> Option<Owned> {
        self.look(LOOKS).or_else(|| {
            let known = self.own.len();
            self.grow();
            self.own.get(known).copied().inspect(|_| self.at = known).or_else(|| self.look(known))
        })
    }

    /// A free place among the next ones.
    fn look(&mut self, most: usize) -> Option<Owned> {
        let count = self.own.len();
        let at = (1..=most.min(count)).map(|step| (self.at + step) % count);
        let free = at.filter_map(|at| Some((at, *self.own.get(at)?))).find(|(_, own)| own.place.is_free());
        free.map(|(at, own)| {
            self.at = at;
            own
        })
    }

    fn grow(&mut self) {
        let wanted = self.own.len().clamp(STEPS.0, STEPS.1);
        let mut orphans = lock(&ORPHANS);
        let mut left = wanted;
        orphans.retain(|orphan| {
            let takes = left > 0 && orphan.place.is_free();
            if takes {
                left -= 1;
                self.own.push(*orphan);
            }
            !takes
        });
        drop(orphans);
        let mut indices = Vec::new();
        FRAMES.take(left, &mut indices);
        let owned = |index| Some(Owned { index, place: FRAMES.at(index as usize)? });
        self.own.extend(indices.into_iter().filter_map(owned));
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let (free, held): (Vec<_>, Vec<_>) =
            mem::take(&mut self.own).into_iter().partition(|own| own.place.is_free());
        FRAMES.give_back(free.into_iter().map(|own| own.index));
        lock(&ORPHANS).extend(held);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`Places::insert`] for a caller without places of its own.
pub(crate) fn insert(frame: Frame, sequence: u64) -> Result<*mut zb_frame, Fault> {
    lock(&SHARED).insert(Held::Ring(frame), sequence).map(|handed| handed.frame)
}

/// Takes a frame out and shows it; `None`: it is no frame, or was released before.
#[inline(always)]
pub(crate) fn take<R>(frame: *const zb_frame, see: impl FnOnce(Held) -> R) -> Option<R> {
    let handle = frame.addr() as u64;
    let place = FRAMES.find(handle)?;
    match place.bias.enter() {
        Some(_inside) => {
            if place.live.load(Ordering::Acquire) != handle {
                return None;
            }
            place.live.store(RELEASING, Ordering::Relaxed);
        }
        None => end_slowly(place, handle)?,
    }
    let _frees = Frees(place);
    // SAFETY: this thread has ended the use of the handle. So it is alone with the frame until it
    // frees the place.
    unsafe { &mut *place.frame.get() }.take().map(see)
}

/// The first release of the owner, or one of another thread.
#[inline(never)]
fn end_slowly(place: &FramePlace, handle: u64) -> Option<()> {
    if let Some(_inside) = place.bias.claim() {
        let is_live = place.live.load(Ordering::Acquire) == handle;
        return is_live.then(|| place.live.store(RELEASING, Ordering::Relaxed));
    }
    // The owner is inside for three instructions.
    while !place.bias.is_ended() {
        thread::yield_now();
    }
    let ended = place.live.compare_exchange(handle, RELEASING, Ordering::Acquire, Ordering::Relaxed);
    ended.ok().map(|_| ())
}

/// Frees a place when it is dropped.
struct Frees(&'static FramePlace);

impl Drop for Frees {
    #[inline]
    fn drop(&mut self) {
        self.0.live.store(FREE, Ordering::Release);
    }
}

#[inline(always)]
fn look<T>(frame: *const zb_frame, what: impl FnOnce(&FramePlace) -> T) -> Result<T, Fault> {
    let handle = frame.addr() as u64;
    if let Some(place) = FRAMES.find(handle)
        && place.live.load(Ordering::Acquire) == handle
    {
        let found = what(place);
        // What was looked at is of this handle if it still is the place's.
        fence(Ordering::Acquire);
        if place.live.load(Ordering::Relaxed) == handle {
            return Ok(found);
        }
    }
    Err(no_frame(frame))
}

/// Drops the frame, which returns its space.
#[inline(always)]
pub(crate) fn give_back(frame: *const zb_frame) -> Result<(), Fault> {
    take(frame, drop).ok_or_else(|| no_frame(frame))
}

#[cold]
fn no_frame(frame: *const zb_frame) -> Fault {
    let text = if frame.is_null() {
        "the frame is NULL".to_owned()
    } else {
        format!("{frame:p} is no frame: it was released before, or never was one")
    };
    Fault::new(ZB_INVALID_HANDLE, text)
}

/// The frame's data, which may be changed in place; NULL for what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_data(frame: *const zb_frame) -> *mut c_void {
    border_or(ptr::null_mut(), || look(frame, |place| place.data.load(Ordering::Relaxed).cast()))
}

/// The frame's size in bytes, at least 1; 0 for what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_size(frame: *const zb_frame) -> usize {
    border_or(0, || look(frame, |place| place.size.load(Ordering::Relaxed)))
}

/// The number that the writer gave the frame, from 1 on; of a response, that of its request. 0 for
/// what is no frame. Any thread.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn zb_frame_sequence(frame: *const zb_frame) -> u64 {
    border_or(0, || look(frame, |place| place.sequence.load(Ordering::Relaxed)))
}

/// All three at once; each place may be NULL. Any thread.
///
/// # Safety
///
/// `data`, `size` and `sequence` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn zb_frame_get(
    frame: *const zb_frame,
    data: *mut *mut c_void,
    size: *mut usize,
    sequence: *mut u64,
) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let seen = unsafe { Seen::new(data, size, sequence) };
        let (data, size, sequence) = look(frame, |place| {
            let data = place.data.load(Ordering::Relaxed).cast();
            (data, place.size.load(Ordering::Relaxed), place.sequence.load(Ordering::Relaxed))
        })?;
        seen.tell(data, size, sequence);
        Ok(ZB_OK)
    })
}

/// Returns the frame's space to the writer. Its data must not be used any more. A second release
/// is ZB_INVALID_HANDLE. Any thread; frames may be released in any order.
#[unsafe(no_mangle)]
pub extern "C" fn zb_frame_release(frame: *mut zb_frame) -> zb_status {
    border(|| give_back(frame).map(|()| ZB_OK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use zerobuffer::{BufferConfig, Reader, Writer};

    fn stream(name: &str, count: usize) -> (Reader, Vec<Frame>) {
        let name = format!("zbc-frame-{name}-{}", std::process::id());
        let mut reader = Reader::create(&name, BufferConfig::ring(1 << 20)).unwrap();
        let mut writer = Writer::connect(&name).unwrap();
        let write = |number: usize| writer.write(&number.to_le_bytes()).map(|_| ()).unwrap();
        (0..count).for_each(write);
        let frames = (0..count).map(|_| reader.try_read().unwrap().unwrap()).collect();
        (reader, frames)
    }

    #[test]
    fn handles_are_never_used_again_and_places_are() {
        let (_reader, frames) = stream("again", 300);
        let mut places = Places::new();
        let mut seen = HashSet::new();
        let mut held = Vec::new();
        for (number, frame) in frames.into_iter().enumerate() {
            let handle = places.insert(Held::Ring(frame), number as u64).unwrap().frame;
            assert!(seen.insert(handle));
            held.push(handle);
            // Now three are held, now none; in another order than they came.
            if number % 3 == 2 {
                for handle in held.drain(..).rev() {
                    assert_eq!(zb_frame_size(handle), size_of::<usize>());
                    assert_eq!(zb_frame_release(handle), ZB_OK);
                    assert_eq!(zb_frame_release(handle), ZB_INVALID_HANDLE);
                    assert_eq!((zb_frame_size(handle), zb_frame_data(handle)), (0, ptr::null_mut()));
                }
            }
        }
        assert!(places.own.len() <= 8, "{}", places.own.len());
    }

    #[test]
    fn frames_that_outlive_their_owner_leave_their_places_to_others() {
        let (reader, frames) = stream("orphans", 200);
        let mut places = Places::new();
        let insert = |frame| places.insert(Held::Ring(frame), 7).unwrap().frame;
        let handles: Vec<_> = frames.into_iter().map(insert).collect();
        let indices: HashSet<u32> = places.own.iter().map(|own| own.index).collect();
        drop((places, reader));
        let orphaned = || lock(&ORPHANS).iter().filter(|own| indices.contains(&own.index)).count();
        assert_eq!(orphaned(), handles.len());
        for handle in handles {
            assert_eq!(zb_frame_sequence(handle), 7);
            assert_eq!(zb_frame_release(handle), ZB_OK);
        }
        let mut next = Places::new();
        while orphaned() > 0 {
            next.grow();
            assert!(next.own.len() < 4096, "they are not taken");
        }
    }

    #[test]
    fn of_many_releases_of_one_frame_one_succeeds() {
        let (_reader, frames) = stream("race", 200);
        for frame in frames {
            let handle = insert(frame, 1).unwrap().addr();
            let release = || (0..4).filter(|_| zb_frame_release(handle as *mut zb_frame) == ZB_OK).count();
            let released: usize = std::thread::scope(|scope| {
                let threads = [scope.spawn(release), scope.spawn(release)];
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(released, 1);
        }
    }
}
