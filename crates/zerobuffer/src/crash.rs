//! Crash points: under `cfg(crash_points)` a test can end the process before or after any change
//! that others see.
//!
//! Every store to shared memory, every presence lock and every change of a name goes through
//! [`around`]. So the points need no list: each passage has a number, and the place of its caller.
//! Without the cfg nothing is left of it.

/// Under a model checker a simulated process may end at one of the points.
#[cfg(any(loom, shuttle))]
pub(crate) fn around<T>(change: impl FnOnce() -> T) -> T {
    crate::sys::machine::point();
    let result = change();
    crate::sys::machine::point();
    result
}

/// Runs one change that other processes see.
#[cfg(not(any(crash_points, loom, shuttle)))]
#[inline(always)]
pub(crate) fn around<T>(change: impl FnOnce() -> T) -> T {
    change()
}

/// Runs one change that other processes see, with a point before and one after it.
#[cfg(crash_points)]
#[track_caller]
pub(crate) fn around<T>(change: impl FnOnce() -> T) -> T {
    armed::point("before");
    let result = change();
    armed::point("after");
    result
}

#[cfg(crash_points)]
mod armed {
    use std::{
        fs::File,
        io::Write as _,
        panic::Location,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    /// Where this process ends: at the passage of that number, or at the first one of that place.
    static DEATH: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("ZEROBUFFER_CRASH_AT").ok());
    /// Receives one line per passage.
    static LOG: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os("ZEROBUFFER_CRASH_LOG")?;
        File::options().append(true).create(true).open(path).ok()
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);

    #[track_caller]
    pub(super) fn point(side: &str) {
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        let place = Location::caller();
        let place = format!("{side} {}:{}", place.file(), place.line());
        if let Some(mut log) = LOG.as_ref() {
            let _ = log.write_all(format!("{number} {place}\n").as_bytes());
        }
        while DEATH.as_ref().is_some_and(|death| *death == number.to_string() || *death == place) {
            crate::sys::process::end_at_once();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// What changes shared memory, a lock or a name.
    const CHANGES: [&str; 32] = [
        "ptr::write",
        "copy_nonoverlapping",
        "write_bytes",
        "write_volatile",
        ".store(value",
        "place.store(",
        "len.store(",
        "state().fetch",
        "state().compare_exchange",
        "note().store",
        "word(word).",
        "self.native(word).",
        "write_all_at(",
        "remove_file(",
        "libc::unlinkat(",
        "fs::rename",
        "libc::linkat(",
        "libc::fallocate(",
        "libc::flock(",
        "F_OFD_SETLK",
        "libc::mkdirat(",
        "open_at(self.fd.as_raw_fd(), OsStr::new(name), flags, 0o600",
        "object::make_",
        "ReleaseSemaphore(",
        "WaitForSingleObject(object::raw(handle",
        ".store(word",
        "fs::create_dir(",
        "options.open(",
        "libc::sem_post(",
        "libc::sem_unlink(",
        "libc::shm_unlink(",
        ".set_len(",
    ];

    /// Sources whose stores go to words of this process alone.
    const PRIVATE: &[&str] = &["observe/tap/native/world.rs", "link/reactor/seen.rs", "sys/windows/owner.rs"];

    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.file_name().is_some_and(|name| name != "crash.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path.display().to_string().replace('\\', "/"), code));
            }
        }
    }

    #[test]
    fn every_change_that_others_see_has_its_points() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        assert!(files.len() > 30, "{} files", files.len());
        let (mut seen, mut bare) = (0, Vec::new());
        for (path, code) in &files {
            if PRIVATE.iter().any(|file| path.ends_with(file)) {
                continue;
            }
            let lines: Vec<&str> = code.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                let is_change =
                    CHANGES.iter().any(|change| line.contains(change)) && !line.contains(".load(");
                if !is_change || line.trim_start().starts_with("//") {
                    continue;
                }
                seen += 1;
                // The change itself, or the name of the closure that makes it, stands in the call.
                let statement = &lines[at.saturating_sub(6)..lines.len().min(at + 4)];
                if !statement.iter().any(|line| line.contains("crash::around")) {
                    bare.push(format!("{path}:{}: {}", at + 1, line.trim()));
                }
            }
        }
        assert!(seen >= 25, "only {seen} changes found: the list of patterns is out of date");
        assert_eq!(bare, Vec::<String>::new());
    }

    /// Raw access to a mapping is made in these files only; the endpoints have no other way to it.
    #[test]
    fn mappings_are_reached_from_few_files() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        for (path, code) in files {
            let raw = ["from_ptr(", "from_raw_parts", ".base()"].iter().any(|word| code.contains(word));
            let allowed = [
                "memory/region.rs",
                "sys/copy.rs",
                "region/metadata.rs",
                "linux/semaphore.rs",
                "unix/mapping.rs",
                "unix/fork.rs",
                "macos/shm.rs",
                "windows/creation.rs",
                "windows/notes.rs",
                "windows/segment.rs",
            ];
            assert!(
                !raw || code.contains("atfork") || allowed.iter().any(|file| path.ends_with(file)),
                "{path}"
            );
        }
    }
}
