//! Both systems as a program on tokio has them: our futures, and iceoryx2's listener as a
//! descriptor that tokio watches.
//!
//! Each end has one thread, which is the runtime's too.

use std::os::fd::BorrowedFd;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::{Builder, Runtime};
use anyhow::{Context as _, Result};
use iceoryx2::prelude::FileDescriptorBased as _;
use zerobuffer::Reader;

use super::iceoryx2::{Event, Publishing, Subscribed, failed};
use super::ours::{Adaptive, Writing};
use super::transport::{Receiver, Sender, Shape, Transport};

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_io().build().context("no runtime")
}

pub(crate) struct Ours;

pub(crate) struct Reading {
    runtime: Runtime,
    reader: Reader,
}

pub(crate) struct Sending {
    runtime: Runtime,
    writing: Writing,
}

impl Transport for Ours {
    type Receiver = Reading;
    type Sender = Sending;

    fn receiver(name: &str, shape: Shape) -> Result<Reading> {
        Ok(Reading { runtime: runtime()?, reader: Adaptive::receiver(name, shape)? })
    }

    fn sender(name: &str, shape: Shape) -> Result<Sending> {
        Ok(Sending { runtime: runtime()?, writing: Adaptive::sender(name, shape)? })
    }
}

impl Receiver for Reading {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let frame = self.runtime.block_on(self.reader.read_async())?;
        Ok(look(frame.data()))
    }
}

impl Sender for Sending {
    fn copy(&mut self, frame: &[u8]) -> Result<()> {
        self.runtime.block_on(self.writing.writer.write_async(frame))?;
        Ok(())
    }

    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        self.writing.loan(fill)
    }
}

pub(crate) struct Iceoryx2;

/// The watched descriptor is dropped before the listener that owns it.
pub(crate) struct Listening {
    readable: AsyncFd<BorrowedFd<'static>>,
    runtime: Runtime,
    subscribed: Subscribed,
}

impl Transport for Iceoryx2 {
    type Receiver = Listening;
    type Sender = Publishing;

    fn receiver(name: &str, shape: Shape) -> Result<Listening> {
        let (runtime, subscribed) = (runtime()?, Event::receiver(name, shape)?);
        let listener = subscribed.listener.as_ref().context("no listener")?;
        // SAFETY: its listener closes it, and is dropped after what borrows it. Nothing else reads
        // from it.
        let fd = unsafe { BorrowedFd::borrow_raw(listener.file_descriptor().native_handle()) };
        let readable = {
            let _inside = runtime.enter();
            // SAFETY: the descriptor stays the same and open as long as it is watched.
            unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?
        };
        Ok(Listening { readable, runtime, subscribed })
    }

    fn sender(name: &str, shape: Shape) -> Result<Publishing> {
        Event::sender(name, shape)
    }
}

impl Receiver for Listening {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let Self { readable, runtime, subscribed } = self;
        let listener = subscribed.listener.as_ref().context("no listener")?;
        let sample = runtime.block_on(async {
            loop {
                if let Some(sample) = subscribed.subscriber.receive().map_err(failed)? {
                    return anyhow::Ok(sample);
                }
                let mut ready = readable.readable().await?;
                // What is notified from here on makes it readable again.
                ready.clear_ready();
                listener.try_wait(|_| ()).map_err(failed)?;
            }
        })?;
        Ok(look(sample.payload()))
    }
}
