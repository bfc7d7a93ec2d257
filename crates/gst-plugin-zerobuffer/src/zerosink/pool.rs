//! The buffer pool that `zerosink` offers upstream: buffers whose memory is the ring itself.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use zerobuffer_video::Stamp;

use crate::pictures::{Pictures, add_meta};
use crate::port::{Port, Waiting, lock};

/// What the pool has to know of the sink.
pub(crate) struct Offer {
    pub(crate) port: Arc<Port>,
    pub(crate) pictures: Pictures,
    pub(crate) stamped: bool,
    pub(crate) waiting: Waiting,
    /// The sink's pad: once it flushes, nobody waits any more.
    pub(crate) pad: gst::Pad,
}

#[derive(Default)]
pub struct RingPool {
    offer: OnceLock<Offer>,
    /// Bytes of a buffer as upstream expects it, and whether it reads metas.
    config: Mutex<(usize, bool)>,
    /// Buffers of other memory that are out: a loan made now would be published before them.
    outside: Arc<Spare>,
}

glib::wrapper! {
    /// The pool.
    pub struct Pool(ObjectSubclass<RingPool>) @extends gst::BufferPool, gst::Object;
}

#[glib::object_subclass]
impl ObjectSubclass for RingPool {
    const NAME: &'static str = "GstZeroRingPool";
    type Type = Pool;
    type ParentType = gst::BufferPool;
}

impl ObjectImpl for RingPool {}
impl GstObjectImpl for RingPool {}

impl Pool {
    /// A pool of buffers for the pictures of `offer`.
    pub(crate) fn new(offer: Offer) -> Pool {
        let pool: Pool = glib::Object::new();
        let _ = pool.imp().offer.set(offer);
        pool
    }
}

impl RingPool {
    /// A buffer in the ring, if this is a moment for one.
    fn lent(&self, offer: &Offer, size: usize, metas: bool) -> Option<gst::Buffer> {
        // Rows are sent tight; elements that do not support that pad them.
        let Pictures { video, tight, .. } = &offer.pictures;
        if self.outside.out.load(Ordering::Acquire) > 0 || (size != tight.size() && !metas) {
            return None;
        }
        let prefix = if offer.stamped { Stamp::SIZE } else { 0 };
        let stopping = || offer.pad.pad_flags().contains(gst::PadFlags::FLUSHING);
        let loan = offer.port.lend(prefix, tight.size(), offer.waiting, &stopping)?;
        let mut buffer = gst::Buffer::from_mut_slice(loan);
        if metas {
            add_meta(buffer.get_mut()?, video, tight);
        }
        Some(buffer)
    }
}

impl BufferPoolImpl for RingPool {
    fn options() -> &'static [&'static str] {
        &["GstBufferPoolOptionVideoMeta"]
    }

    fn set_config(&self, config: &mut gst::BufferPoolConfigRef) -> bool {
        let Some((_, size, _, _)) = config.params() else { return false };
        *lock(&self.config) = (size as usize, config.has_option("GstBufferPoolOptionVideoMeta"));
        self.parent_set_config(config)
    }

    // Nothing is kept: each buffer is made when it is asked for.
    fn start(&self) -> bool {
        true
    }

    fn stop(&self) -> bool {
        true
    }

    fn acquire_buffer(
        &self,
        _: Option<&gst::BufferPoolAcquireParams>,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let (size, metas) = *lock(&self.config);
        if let Some(buffer) = self.offer.get().and_then(|offer| self.lent(offer, size, metas)) {
            return Ok(buffer);
        }
        Ok(gst::Buffer::from_mut_slice(Outside::new(&self.outside, size)))
    }

    fn release_buffer(&self, buffer: gst::Buffer) {
        drop(buffer);
    }
}

/// Memory that is not the ring's, kept for the next buffer.
struct Outside {
    bytes: Vec<u8>,
    spare: Arc<Spare>,
}

#[derive(Default)]
struct Spare {
    /// Buffers that are out.
    out: AtomicUsize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Outside {
    fn new(spare: &Arc<Spare>, size: usize) -> Outside {
        spare.out.fetch_add(1, Ordering::AcqRel);
        let kept = lock(&spare.kept).pop().filter(|kept| kept.len() == size);
        Outside { bytes: kept.unwrap_or_else(|| vec![0; size]), spare: Arc::clone(spare) }
    }
}

impl AsMut<[u8]> for Outside {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let mut kept = lock(&self.spare.kept);
        if kept.len() < 8 {
            kept.push(std::mem::take(&mut self.bytes));
        }
        drop(kept);
        self.spare.out.fetch_sub(1, Ordering::AcqRel);
    }
}
