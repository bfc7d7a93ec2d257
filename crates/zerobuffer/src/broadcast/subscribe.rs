//! Subscribing: a reader whose buffer has a name that nobody else has.

use super::names;
use crate::{
    config::BufferConfig,
    error::{Error, ErrorKind, Result},
    observe,
    reader::Reader,
    sys::{own_uid, process},
};
use std::hash::{BuildHasher as _, RandomState};

/// Names that are tried: by number first, then by chance, which nobody can foresee.
const NUMBERED: u32 = 8;
const ATTEMPTS: u32 = 64;
/// The largest ring that is taken over from the buffer of the broadcast.
const MOST: u64 = 256 << 20;

impl Reader {
    /// Subscribes to the broadcast `name`: creates a buffer `NAME@SUBSCRIBER` under a name that is
    /// free. The broadcaster need not be there yet.
    ///
    /// Ring and metadata block are as large as those of the buffer `name`, at most 256 MiB, where
    /// there is one. Else they have the sizes of
    /// [`BufferConfig::default`], which are too small for most pictures. See
    /// [`Self::subscribe_with`].
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn subscribe(name: &str) -> Result<Self> {
        names::check(name)?;
        Self::subscribe_with(name, BufferConfig::for_subscriber(name))
    }

    /// As [`Self::subscribe`], with sizes of its own. A subscriber that pauses for a time misses
    /// nothing if its ring holds the frames of that time.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    #[allow(clippy::needless_pass_by_value, reason = "as Reader::create takes it")]
    pub fn subscribe_with(name: &str, config: BufferConfig) -> Result<Self> {
        names::check(name)?;
        let pid = process::own_pid();
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            let subscriber = match attempt {
                0 => pid.to_string(),
                1..NUMBERED => format!("{pid}-{}", attempt + 1),
                _ => format!("{pid}-{:016x}", RandomState::new().hash_one(attempt)),
            };
            match Self::create(&names::buffer(name, &subscriber), config.clone()) {
                Err(error) if is_taken(&error) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::closed(name)))
    }
}

/// Whether somebody else has the name.
fn is_taken(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InUse | ErrorKind::NotReady | ErrorKind::PermissionDenied)
        && !matches!(error, Error::NoPrivilege { .. })
}

impl BufferConfig {
    /// What [`Reader::subscribe`] takes: the sizes of the buffer of the broadcast, at most 256 MiB,
    /// if there is one of an owner to be trusted. All else is as in [`Self::default`].
    #[must_use]
    pub fn for_subscriber(name: &str) -> Self {
        let default = Self::default();
        let Ok(info) = observe::inspect(name) else { return default };
        let is_trusted = info.uid == 0 || info.uid == own_uid();
        if !is_trusted || !info.defects.is_empty() || info.payload_size == 0 {
            return default;
        }
        Self::ring(info.payload_size.min(MOST)).metadata(info.metadata_size.min(MOST))
    }
}
