//! Buffer names that no other test uses and whose files are gone when the test is over.

use std::fs;
use std::ops::Deref;
#[cfg(not(windows))]
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What precedes every name of one run of `cargo xtask test`, which looks for left-overs by it
/// alone; else nothing.
pub(crate) fn mark() -> String {
    std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default()
}

/// A unique buffer name; dropping it removes whatever an endpoint of that name has left behind.
#[derive(Debug)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new(tag: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (mark, pid, next) = (mark(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Names of macOS have 30 bytes at most.
        if cfg!(any(target_os = "macos", macos_sys)) {
            return Self(format!("{mark}z{pid:x}{next:x}"));
        }
        Self(format!("{mark}zbt-{tag}-{pid}-{next}"))
    }

    /// A name made elsewhere.
    pub(crate) fn of(name: &str) -> Self {
        Self(name.to_owned())
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn shm(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }

    /// The two semaphores: data (`sem-w`), space (`sem-r`).
    #[cfg(target_os = "linux")]
    pub(crate) fn semaphores(&self) -> [PathBuf; 2] {
        ["w", "r"].map(|side| PathBuf::from(format!("/dev/shm/sem.sem-{side}-{}", self.0)))
    }

    /// The lock files of the Python/C++ and of the C# convention.
    #[cfg(windows)]
    pub(crate) fn locks(&self) -> [PathBuf; 2] {
        let file = format!("{}.lock", self.0);
        let folder = std::env::temp_dir().join("zerobuffer");
        [folder.join(&file), folder.join("locks").join(&file)]
    }

    /// The lock files of the Python/C++ and of the C# convention.
    #[cfg(not(any(windows, target_os = "macos", macos_sys)))]
    pub(crate) fn locks(&self) -> [PathBuf; 2] {
        let file = format!("{}.lock", self.0);
        let temp = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        [Path::new("/tmp/zerobuffer").join(&file), temp.join("zerobuffer/locks").join(&file)]
    }

    /// The only lock file, in the place of both.
    #[cfg(any(target_os = "macos", macos_sys))]
    pub(crate) fn locks(&self) -> [PathBuf; 2] {
        let file = Path::new("/tmp/zerobuffer").join(format!("{}.lock", self.0));
        [file.clone(), file]
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut all = vec![self.shm()];
        all.extend(self.semaphores());
        all.extend(self.locks());
        all.dedup();
        all
    }

    /// The kernel's objects have no files.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut all = self.locks().to_vec();
        all.dedup();
        all
    }

    /// What exists of this name now.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let files = self.files().into_iter().filter(|path| path.symlink_metadata().is_ok());
        files.chain(self.kernel_objects()).collect()
    }

    #[cfg(target_os = "linux")]
    #[allow(clippy::unused_self, reason = "everything is a file")]
    fn kernel_objects(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    #[cfg(not(target_os = "linux"))]
    fn kernel_objects(&self) -> Vec<PathBuf> {
        super::kernel::existing(&self.0).into_iter().map(PathBuf::from).collect()
    }

    /// Posts the data semaphore as every C library does.
    #[cfg(target_os = "linux")]
    pub(crate) fn post_data(&self) {
        let path = std::ffi::CString::new(format!("/sem-w-{}", &**self)).unwrap();
        // SAFETY: the path outlives the calls, and the semaphore is closed once.
        unsafe {
            let semaphore = libc::sem_open(path.as_ptr(), 0);
            assert_ne!(semaphore, libc::SEM_FAILED);
            assert_eq!(libc::sem_post(semaphore), 0);
            libc::sem_close(semaphore);
        }
    }

    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        assert_eq!(self.leftovers(), Vec::<PathBuf>::new(), "files of a closed buffer are left");
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        for path in self.files() {
            let _ = fs::remove_file(path);
        }
    }
}
