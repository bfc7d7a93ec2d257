//! Descriptors for event loops, where there are any.

use crate::{
    arguments::Out,
    border::border,
    fault::Fault,
    status::zb_status::{self, ZB_OK},
};
use zerobuffer::{Newest, Reader, Writer};

/// Writes a descriptor to where the caller wants it.
///
/// # Safety
///
/// `descriptor` is NULL or can be written to.
pub(crate) unsafe fn answer(descriptor: *mut i32, made: impl FnOnce() -> Result<i32, Fault>) -> zb_status {
    border(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::required(descriptor, "the descriptor") }?;
        out.set(-1);
        out.set(made()?);
        Ok(ZB_OK)
    })
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Fault, Newest, Reader, Writer};
    use std::os::fd::AsRawFd as _;

    // The endpoint keeps the descriptor open.
    pub(crate) fn of_reader(reader: &mut Reader) -> Result<i32, Fault> {
        Ok(reader.event_fd()?.as_raw_fd())
    }

    pub(crate) fn of_writer(writer: &mut Writer) -> Result<i32, Fault> {
        Ok(writer.event_fd()?.as_raw_fd())
    }

    pub(crate) fn of_newest(newest: &mut Newest) -> Result<i32, Fault> {
        Ok(newest.event_fd()?.as_raw_fd())
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{of_newest, of_reader, of_writer};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{Fault, Newest, Reader, Writer};
    use crate::status::zb_status::ZB_ERROR;

    fn none() -> Result<i32, Fault> {
        Err(Fault::new(ZB_ERROR, "there are no event descriptors on this system, only on Linux"))
    }

    pub(crate) fn of_reader(_: &mut Reader) -> Result<i32, Fault> {
        none()
    }

    pub(crate) fn of_writer(_: &mut Writer) -> Result<i32, Fault> {
        none()
    }

    pub(crate) fn of_newest(_: &mut Newest) -> Result<i32, Fault> {
        none()
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{of_newest, of_reader, of_writer};
