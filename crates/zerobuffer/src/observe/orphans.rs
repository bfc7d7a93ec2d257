//! Buffers that nobody owns any more.

use crate::{
    error::{Error, Result},
    sys::{self, Removal, Segment, Verdict},
};
use std::path::PathBuf;

/// Whose leftovers are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Those of the user that this process runs as, root too.
    #[default]
    Caller,
    /// Those of one user. Only root may remove another one's.
    User(u32),
    /// Those of all users.
    Everybody,
}

impl Owner {
    fn includes(self, uid: u32) -> bool {
        match self {
            // The guard that `attacks/` takes out to show that its attack works.
            Self::Caller => uid == sys::own_uid() || cfg!(unguarded = "s4"),
            Self::User(user) => uid == user,
            Self::Everybody => true,
        }
    }
}

/// What a dead reader has left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Orphan {
    /// The buffer's name.
    pub name: String,
    /// The existing ones of segment, semaphores and lock files; on Windows also names that are no
    /// files.
    pub objects: Vec<PathBuf>,
    /// Memory that removing them sets free, bytes.
    pub bytes: u64,
    /// Why it is known to be dead, or why that is unknown.
    pub reason: String,
    /// The user that it belongs to; 0 on Windows.
    pub uid: u32,
    /// Its reader seems dead, but nothing proves it: a reader of another implementation that may
    /// run in another container. [`remove`] refuses it, [`remove_unproven`] does not.
    pub unproven: bool,
}

/// What the caller's own dead processes have left: buffers whose reader is gone, semaphores and
/// lock files without a buffer.
///
/// # Errors
///
/// [`Error::Os`] if the shared-memory folder cannot be listed. What may not be looked at is left
/// out.
pub fn orphans() -> Result<Vec<Orphan>> {
    orphans_of(Owner::Caller)
}

/// As [`orphans`], for the files of other users.
///
/// # Errors
///
/// As [`orphans`].
pub fn orphans_of(owner: Owner) -> Result<Vec<Orphan>> {
    let sys::Traces { buffers, companions } = sys::traces()?;
    let mut found: Vec<Orphan> = buffers.iter().filter_map(|name| dead_buffer(name, owner)).collect();
    let stray = companions.iter().filter(|name| buffers.binary_search(name).is_err());
    found.extend(stray.flat_map(|name| stray_companions(name, owner)));
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes an orphan's objects, judged once more under the locks of creation, and says what was
/// removed.
///
/// Only objects of the orphan's user are removed, and only what is proven dead.
///
/// # Errors
///
/// [`Error::ReaderAlreadyConnected`] if the name has come to life meanwhile. [`Error::NotABuffer`]
/// if it stands for something else by now. [`Error::NotReady`] if its death is
/// [unproven](Orphan::unproven). [`Error::PermissionDenied`]; [`Error::Os`].
pub fn remove(orphan: &Orphan) -> Result<Vec<PathBuf>> {
    removed(orphan, false)
}

/// As [`remove`], also where nothing proves that the reader is dead.
///
/// # Errors
///
/// As [`remove`].
pub fn remove_unproven(orphan: &Orphan) -> Result<Vec<PathBuf>> {
    removed(orphan, true)
}

fn removed(orphan: &Orphan, forced: bool) -> Result<Vec<PathBuf>> {
    sys::check_name(&orphan.name)?;
    if orphan.unproven && !forced {
        return Err(Error::NotReady { name: orphan.name.clone(), reason: Removal::UNPROVEN });
    }
    sys::remove_dead(&orphan.name, Removal { uid: orphan.uid, forced })
}

/// Removes the buffer `name` if its reader, a process of the caller's own user, is proven dead.
/// Removes what is left of one that was half made, too. Says what was removed.
pub(crate) fn remove_dead(name: &str) -> Result<Vec<PathBuf>> {
    let orphan = dead_buffer(name, Owner::Caller);
    match orphan.or_else(|| stray_companions(name, Owner::Caller).pop()) {
        Some(orphan) => remove(&orphan),
        None => Ok(Vec::new()),
    }
}

fn dead_buffer(name: &str, owner: Owner) -> Option<Orphan> {
    let segment = Segment::open_read_only(name).ok().filter(|segment| owner.includes(segment.uid))?;
    let Verdict::Dead { pid, reason } = sys::assess(&segment) else { return None };
    // A legacy reader is judged by its number, which means nothing in another container. The lock
    // file that it holds for its life proves its death if it is there and free.
    let unproven = !segment.is_marked() && !sys::has_lock_file(name);
    if !segment.is_marked() && sys::is_being_made(name) {
        return None;
    }
    let sys::Objects { paths, bytes } = sys::objects(name, segment.uid);
    let reason = if unproven {
        format!("{reason}, process {pid}; it may live in another container: it has no lock file")
    } else {
        format!("{reason}, process {pid}")
    };
    Some(Orphan { name: name.to_owned(), objects: paths, bytes, reason, uid: segment.uid, unproven })
}

fn stray_companions(name: &str, owner: Owner) -> Vec<Orphan> {
    if sys::is_being_made(name) {
        return Vec::new();
    }
    let owners = sys::owners(name).into_iter().filter(|uid| owner.includes(*uid));
    let orphan = |uid| {
        let sys::Objects { paths, bytes } = sys::stray(name, uid);
        let reason = "its semaphores or lock files have no buffer".to_owned();
        let is_left = !paths.is_empty();
        let name = name.to_owned();
        is_left.then_some(Orphan { name, objects: paths, bytes, reason, uid, unproven: false })
    };
    owners.filter_map(orphan).collect()
}
