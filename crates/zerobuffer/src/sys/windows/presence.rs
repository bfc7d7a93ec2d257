//! Presence (W8): "this endpoint lives" as an event that exists while its process has a handle of
//! it.
//!
//! The kernel closes the handles of a process that ends, however it ends, and an event without a
//! handle is gone with its name. Creating tests and takes presence in one step: it shows whether
//! the object was there. Unlike a mutex an event belongs to no thread, so an endpoint may move
//! between threads. Unlike a lock on a file it needs no folder that users and sessions share. In
//! the machine's namespace it is seen from every session, which takes no privilege. The name has
//! the number of the segment's instance in it, so nobody takes a successor for its predecessor.
//!
//! An observer that asks whether an event exists holds a handle of it for an instant. A dead
//! endpoint looks alive for that instant, and taking its place fails and is repeated. The contrary
//! does not happen.

use super::{names::Namespace, notes::Notes, object};
use crate::{crash, sys::Role};
use std::{
    io,
    os::windows::io::OwnedHandle,
    sync::{Mutex, MutexGuard, PoisonError},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_TOO_MANY_OPEN_FILES,
    },
    System::Memory::FILE_MAP_READ,
};

/// Whether something has run out for the moment, which says nothing about presence itself.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let codes =
        [ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_NO_SYSTEM_RESOURCES, ERROR_TOO_MANY_OPEN_FILES];
    error.raw_os_error().is_some_and(|code| codes.contains(&code.cast_unsigned()))
}

/// The highest level that is looked for.
const MAX_LEVEL: u8 = 16;

/// Which segment's presence.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) space: Namespace,
    pub(super) name: String,
    identity: String,
}

impl Key {
    /// By the instance, where the reader is native. Beside a legacy reader native writers exclude
    /// each other by name.
    pub(super) fn new(space: Namespace, name: &str, notes: Option<&Notes>) -> Self {
        let identity = notes.map_or_else(|| format!("name/{name}"), Notes::identity);
        Self { space, name: name.to_owned(), identity }
    }

    pub(super) fn is_held(&self, role: Role) -> io::Result<bool> {
        object::event_exists(&self.space.presence(&self.identity, role))
    }

    pub(super) fn level(&self, role: Role) -> io::Result<u8> {
        for level in 1..=MAX_LEVEL {
            if !object::event_exists(&self.space.level(&self.identity, role, level))? {
                return Ok(level - 1);
            }
        }
        Ok(MAX_LEVEL)
    }
}

/// The events of one endpoint of one segment, closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    key: Key,
    roles: Mutex<[Option<OwnedHandle>; 3]>,
    levels: Mutex<Vec<OwnedHandle>>,
}

impl Presence {
    pub(super) fn new(key: Key) -> Self {
        Self { key, roles: Mutex::default(), levels: Mutex::default() }
    }

    fn roles(&self) -> MutexGuard<'_, [Option<OwnedHandle>; 3]> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a role, unless somebody else has it.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn try_lock(&self, role: Role) -> io::Result<bool> {
        let mut roles = self.roles();
        let Some(place) = roles.get_mut(role as usize) else { return Ok(false) };
        if place.is_some() {
            return Ok(true);
        }
        match crash::around(|| object::make_event(&self.key.space.presence(&self.key.identity, role))) {
            Ok(named) if named.existed => Ok(false),
            Ok(named) => {
                *place = Some(named.handle);
                Ok(true)
            }
            // Another user's.
            Err(error) if object::is_denied(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[cfg_attr(crash_points, track_caller)]
    #[allow(clippy::unnecessary_wraps, reason = "unlocking a file can fail on other systems")]
    pub(crate) fn unlock(&self, role: Role) -> io::Result<()> {
        let event = self.roles().get_mut(role as usize).and_then(Option::take);
        crash::around(|| drop(event));
        Ok(())
    }

    /// Whether somebody else has the role.
    pub(crate) fn is_held(&self, role: Role) -> io::Result<bool> {
        let own = self.roles().get(role as usize).is_some_and(Option::is_some);
        Ok(!own && self.key.is_held(role)?)
    }

    /// Announces the capability level of this endpoint: one event per level up to it. Always
    /// `Ok(true)`: an event that another one still has is shared.
    #[cfg_attr(crash_points, track_caller)]
    pub(crate) fn announce(&self, role: Role, level: u8) -> io::Result<bool> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.clear();
        for level in 1..=level {
            let name = self.key.space.level(&self.key.identity, role, level);
            levels.push(crash::around(|| object::make_event(&name))?.handle);
        }
        Ok(true)
    }

    /// The level that the other endpoint has announced; 0 if it has not.
    pub(crate) fn level(&self, role: Role) -> io::Result<u8> {
        self.key.level(role)
    }

    /// Whether the segment has lost its name: its reader closed or died.
    pub(crate) fn is_unlinked(&self) -> bool {
        let opened = object::open_section(&self.key.space.segment(&self.key.name), FILE_MAP_READ);
        opened.is_err_and(|error| object::is_absent(&error))
    }
}
