//! `ZeroBuffer`, with each of its wait strategies, and without early jumps.

use std::marker::PhantomData;
use std::time::Duration;

use anyhow::Result;
use zerobuffer::{BufferConfig, FRAME_HEADER_SIZE, Reader, WaitStrategy, Writer, WriterConfig};

use super::transport::{Receiver, Sender, Shape, Transport};

pub(crate) trait Strategy {
    const WAIT: WaitStrategy;
    /// The writer walks through the whole ring: no early jumps.
    const WHOLE: bool = false;
}

pub(crate) struct AdaptiveWait;
pub(crate) struct BlockWait;
pub(crate) struct SpinWait;
pub(crate) struct WholeRing;

impl Strategy for AdaptiveWait {
    const WAIT: WaitStrategy = WaitStrategy::Adaptive;
}
impl Strategy for BlockWait {
    const WAIT: WaitStrategy = WaitStrategy::Block;
}
impl Strategy for SpinWait {
    const WAIT: WaitStrategy = WaitStrategy::Spin;
}
impl Strategy for WholeRing {
    const WAIT: WaitStrategy = WaitStrategy::Adaptive;
    const WHOLE: bool = true;
}

pub(crate) struct Ours<S>(PhantomData<S>);
pub(crate) type Adaptive = Ours<AdaptiveWait>;
pub(crate) type Block = Ours<BlockWait>;
pub(crate) type Spin = Ours<SpinWait>;
pub(crate) type Whole = Ours<WholeRing>;

pub(crate) struct Writing {
    pub(super) writer: Writer,
    bytes: usize,
}

impl<S: Strategy> Transport for Ours<S> {
    type Receiver = Reader;
    type Sender = Writing;

    fn receiver(name: &str, Shape { bytes, depth }: Shape) -> Result<Reader> {
        let ring = (bytes as u64 + FRAME_HEADER_SIZE) * depth as u64;
        Ok(Reader::create(name, BufferConfig::ring(ring).metadata(0).wait(S::WAIT))?)
    }

    fn sender(name: &str, Shape { bytes, .. }: Shape) -> Result<Writing> {
        let config = WriterConfig::default()
            .wait(S::WAIT)
            .whole_ring(S::WHOLE)
            .connect_timeout(Duration::from_secs(20));
        Ok(Writing { writer: Writer::connect_with(name, config)?, bytes })
    }
}

impl Receiver for Reader {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        Ok(look(self.read()?.data()))
    }
}

impl Sender for Writing {
    fn copy(&mut self, frame: &[u8]) -> Result<()> {
        self.writer.write(frame)?;
        Ok(())
    }

    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut frame = self.writer.loan(self.bytes)?;
        fill(&mut frame);
        frame.commit()?;
        Ok(())
    }
}
