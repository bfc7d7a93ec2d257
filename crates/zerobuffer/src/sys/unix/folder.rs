//! Folders by descriptor: where a path leads is settled once, and what is done below is relative to
//! it.
//!
//! A path is walked from the root. Each folder on the way is opened without following a link, and
//! its owner is looked at through the descriptor. So nobody but root and this user can lead the
//! walk elsewhere.

use super::{FileId, file_id::Entry};
use crate::{
    crash,
    error::{Error, Result},
};
use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
};
#[cfg(all(target_os = "linux", not(macos_sys)))]
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How folders on the way are opened: they need not be readable.
#[cfg(target_os = "linux")]
const PASSING: libc::c_int = libc::O_PATH;
#[cfg(not(target_os = "linux"))]
const PASSING: libc::c_int = libc::O_RDONLY;
/// Whatever is opened: no child gets it, no link is followed, no FIFO is waited for.
const CAREFUL: libc::c_int = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
/// Links on one way.
const MAX_LINKS: u32 = 16;
/// Everybody may make files, and remove only what is his own.
const FOR_ALL: u32 = 0o1777;

/// A folder that is held by a descriptor.
#[derive(Debug)]
pub(in crate::sys) struct Folder {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
    /// Others than its owner may exchange what is in it.
    is_shared: bool,
}

impl Folder {
    /// A folder that the system itself has made, under a path that only root can change.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(in crate::sys) fn of_system(path: &str) -> io::Result<Self> {
        let fd = open_at(libc::AT_FDCWD, OsStr::new(path), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        Ok(Self { fd, path: path.into(), is_shared: false })
    }

    /// Walks to a folder that exists. A relative path begins at the working folder of this moment.
    ///
    /// A link on the way is followed if root or this user has made it.
    pub(in crate::sys) fn walk(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut steps = Vec::new();
        push_steps(&mut steps, &path);
        let mut here = Self::root()?;
        let mut links = 0;
        while let Some(step) = steps.pop() {
            match here.enter(&step) {
                Ok(next) => here = next,
                Err(error) => {
                    let Some(target) = here.trusted_link(&step)? else { return Err(error) };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    push_steps(&mut steps, &target);
                    if target.is_absolute() {
                        here = Self::root()?;
                    }
                }
            }
        }
        Ok(here)
    }

    fn root() -> io::Result<Self> {
        let fd = open_at(libc::AT_FDCWD, OsStr::new("/"), PASSING | libc::O_DIRECTORY, 0)?;
        Ok(Self { fd, path: "/".into(), is_shared: false })
    }

    /// A folder in this one. It is no link, and it belongs to root or to this user.
    pub(in crate::sys) fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        // The guard that `attacks/` takes out to show that its attack works.
        let nofollow = if cfg!(unguarded = "s1") { 0 } else { libc::O_NOFOLLOW };
        let fd = open_at(self.fd.as_raw_fd(), name, PASSING | libc::O_DIRECTORY | nofollow, 0)?;
        let entry = Entry::of(fd.as_raw_fd())?;
        if !(is_trusted(entry.uid) || cfg!(unguarded = "s1")) {
            return Err(Foreigner { uid: entry.uid }.into());
        }
        let is_shared = entry.mode & 0o022 != 0 && entry.mode & 0o1000 == 0;
        Ok(Self { fd, path: self.path.join(name), is_shared })
    }

    /// The same, made for everybody if it is missing, whatever the umask.
    pub(in crate::sys) fn ensure(&self, name: &str) -> io::Result<Self> {
        let c_name = CString::new(name)?;
        let mkdir = || {
            // SAFETY: the name outlives the call, and the descriptor is open.
            check(unsafe { libc::mkdirat(self.fd.as_raw_fd(), c_name.as_ptr(), 0o700) })
        };
        match crash::around(mkdir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.enter(name),
            Err(error) => Err(error),
            // What was made in a folder that others may change is not certainly what is found
            // there.
            Ok(()) if self.is_shared && !cfg!(unguarded = "s1") => self.enter(name),
            Ok(()) => {
                let made = self.enter(name)?;
                crash::around(|| made.open_to_all())?;
                Ok(made)
            }
        }
    }

    /// Sets the mode of a folder that this process has just made.
    #[cfg(target_os = "linux")]
    fn open_to_all(&self) -> io::Result<()> {
        // The descriptor is for passing only; this name leads to the same folder whatever its path
        // leads to.
        let same = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        std::fs::set_permissions(same, std::os::unix::fs::PermissionsExt::from_mode(FOR_ALL))
    }

    #[cfg(not(target_os = "linux"))]
    fn open_to_all(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open.
        check(unsafe { libc::fchmod(self.fd.as_raw_fd(), FOR_ALL as libc::mode_t) })
    }

    /// Where a link leads that root or this user has made; `None` if that is not what is there.
    fn trusted_link(&self, name: &OsStr) -> io::Result<Option<PathBuf>> {
        let Ok(entry) = self.entry(name) else { return Ok(None) };
        // With a second name it may be a link of root's that somebody else has put here.
        if !entry.is_link() || entry.links > 1 || !is_trusted(entry.uid) {
            return Ok(None);
        }
        let c_name = CString::new(name.as_bytes())?;
        let mut target = vec![0_u8; libc::PATH_MAX as usize];
        // SAFETY: name and buffer outlive the call, and the length is the buffer's.
        let len = unsafe {
            libc::readlinkat(self.fd.as_raw_fd(), c_name.as_ptr(), target.as_mut_ptr().cast(), target.len())
        };
        target.truncate(usize::try_from(len).map_err(|_| io::Error::last_os_error())?);
        Ok(Some(OsString::from_vec(target).into()))
    }

    pub(in crate::sys) fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call a file in it.
    pub(in crate::sys) fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// A description of its own, whose locks end with it.
    pub(in crate::sys) fn reopen(&self) -> io::Result<OwnedFd> {
        open_at(self.fd.as_raw_fd(), OsStr::new("."), libc::O_RDONLY | libc::O_DIRECTORY, 0)
    }

    /// Opens a regular file that has no other name.
    pub(in crate::sys) fn open(&self, name: &str, access: libc::c_int) -> io::Result<File> {
        // Opening a device may do something to it, so what has the name is looked at before, too.
        if !self.entry(name)?.is_plain_file() {
            return Err(io::Error::other(NOT_REGULAR));
        }
        let file = File::from(open_at(self.fd.as_raw_fd(), OsStr::new(name), access | CAREFUL, 0)?);
        if Entry::of(file.as_raw_fd())?.is_plain_file() {
            Ok(file)
        } else {
            Err(io::Error::other(NOT_REGULAR))
        }
    }

    /// The same for a file that may be new. A C library makes a semaphore under another name, links
    /// it to its own one, and removes the first: for a moment it has both.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(in crate::sys) fn open_new(&self, name: &str, access: libc::c_int) -> io::Result<File> {
        let began = Instant::now();
        loop {
            let result = self.open(name, access);
            let has_two_names = || self.entry(name).is_ok_and(|entry| entry.links == 2);
            if result.is_ok() || began.elapsed() > NAMING || !has_two_names() {
                // The second name may have gone between the two looks.
                return result.or_else(|_| self.open(name, access));
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Makes a file with exactly that mode. An existing name is an error, never a file that is
    /// opened.
    #[cfg_attr(crash_points, track_caller)]
    pub(in crate::sys) fn create(&self, name: &str, access: libc::c_int, mode: u32) -> io::Result<File> {
        let flags = access | CAREFUL | libc::O_CREAT | libc::O_EXCL;
        let file = crash::around(|| open_at(self.fd.as_raw_fd(), OsStr::new(name), flags, 0o600))?;
        let file = File::from(file);
        crash::around(|| set_mode(&file, mode))?;
        Ok(file)
    }

    /// A new file without a name: nobody sees it before it is complete, and it vanishes with its
    /// maker.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(in crate::sys) fn unnamed(&self) -> io::Result<File> {
        let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
        open_at(self.fd.as_raw_fd(), OsStr::new("."), flags, 0o600).map(File::from)
    }

    /// Gives an unnamed file its name. `Ok(false)`: the name is taken.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    #[cfg_attr(crash_points, track_caller)]
    pub(in crate::sys) fn link(&self, file: &File, name: &str) -> io::Result<bool> {
        let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let to = CString::new(name)?;
        let folder = self.fd.as_raw_fd();
        // SAFETY: both strings outlive the call.
        let result = crash::around(|| unsafe {
            libc::linkat(libc::AT_FDCWD, from.as_ptr(), folder, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
        });
        match check(result) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What has a name here; a link is reported, not followed.
    pub(in crate::sys) fn entry(&self, name: impl AsRef<OsStr>) -> io::Result<Entry> {
        Entry::named(self.fd.as_raw_fd(), name.as_ref())
    }

    /// Which file has that name; `None` if there is none.
    pub(in crate::sys) fn id(&self, name: &str) -> Option<FileId> {
        self.entry(name).ok().map(|entry| entry.id)
    }

    /// Removes a name if it still is that file's. `Ok(false)`: it was not.
    #[cfg_attr(crash_points, track_caller)]
    pub(in crate::sys) fn unlink_if(&self, name: &str, id: FileId) -> Result<bool> {
        if self.id(name) != Some(id) {
            return Ok(false);
        }
        let failed = |error| Error::os("remove", self.path_of(name), error);
        let c_name = CString::new(name).map_err(|error| failed(error.into()))?;
        // SAFETY: the name outlives the call, and the descriptor is open.
        match check(crash::around(|| unsafe { libc::unlinkat(self.fd.as_raw_fd(), c_name.as_ptr(), 0) })) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Bytes that its file system has left.
    #[cfg(all(target_os = "linux", not(macos_sys)))]
    pub(in crate::sys) fn available(&self) -> u64 {
        // SAFETY: a zeroed `statvfs` is a valid out-parameter, and the descriptor is open.
        let (result, stat) = unsafe {
            let mut stat: libc::statvfs = std::mem::zeroed();
            (libc::fstatvfs(self.fd.as_raw_fd(), &raw mut stat), stat)
        };
        match result {
            // A file system without a limit of its own.
            0 if stat.f_blocks == 0 => u64::MAX,
            0 => stat.f_bavail.saturating_mul(stat.f_frsize),
            _ => 0,
        }
    }
}

impl AsRawFd for Folder {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// How long a new file may have a second name: its maker is between two calls.
#[cfg(all(target_os = "linux", not(macos_sys)))]
const NAMING: Duration = Duration::from_millis(500);

/// What is said of a link, a device or a file with several names.
const NOT_REGULAR: &str = "it is not a regular file with one name";

/// A folder belongs to somebody who could exchange what is in it.
#[derive(Debug, thiserror::Error)]
#[error("it belongs to user {uid}, who could exchange what is in it")]
pub(in crate::sys) struct Foreigner {
    uid: u32,
}

impl From<Foreigner> for io::Error {
    fn from(foreigner: Foreigner) -> Self {
        Self::other(foreigner)
    }
}

/// Sets the mode of a file that this process has made; the umask has no say in it.
pub(in crate::sys) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// The mode of a file that bears locks: a user who may not write to a buffer may not open it.
pub(in crate::sys) fn writers_only(mode: u32) -> u32 {
    let classes = [0o700, 0o070, 0o007];
    classes.into_iter().filter(|class| mode & class & 0o222 != 0).fold(0, |kept, class| kept | mode & class)
}

/// Root can do everything anyway, and this user harms nobody else.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == own_uid()
}

/// By which this process's files are known.
pub(crate) fn own_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// The steps of a path, the first one on top.
fn push_steps(steps: &mut Vec<OsString>, path: &Path) {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let start = steps.len();
    steps.extend(named);
    if let Some(new) = steps.get_mut(start..) {
        new.reverse();
    }
}

fn open_at(folder: RawFd, name: &OsStr, flags: libc::c_int, mode: libc::c_uint) -> io::Result<OwnedFd> {
    let name = CString::new(name.as_bytes())?;
    loop {
        // SAFETY: the name outlives the call.
        let fd = unsafe { libc::openat(folder, name.as_ptr(), flags | libc::O_CLOEXEC, mode) };
        if fd >= 0 {
            // SAFETY: a fresh descriptor that nobody else has.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
