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
    let result = crate::sys::machine::change(change);
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

    /// Changes of shared memory, and functions of this crate that change a lock or a name.
    const CHANGES: [&str; 23] = [
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
        "F_OFD_SETLK",
        "open_at(self.fd.as_raw_fd(), OsStr::new(name), flags, 0o600",
        "set_mode(file, ",
        "set_mode(&file, ",
        ".open_to_all(",
        "object::make_",
        "WaitForSingleObject(object::raw(handle",
        ".store(word",
        "options.open(",
        ".set_len(",
    ];

    /// Calls of a system that change nothing which others see, or that stand in one of the
    /// functions above. Every other call of a system is a change.
    const OTHERS: &str = "_exit clock_gettime close eventfd fchmod fcntl fstat fstatat fstatvfs \
        geteuid getpid getrlimit kill madvise major minor mmap munmap openat proc_pidinfo pthread_atfork \
        pthread_sigmask readlinkat sem_close sem_open shm_open sigfillset syscall sysconf waitpid \
        read_dir read_to_string set_permissions symlink_metadata \
        CreateEventW CreateFileMappingW CreateSemaphoreW GetCurrentProcess GetKernelObjectSecurity \
        GetLastError GetLengthSid GetProcessId GetProcessTimes GetSecurityDescriptorOwner \
        GetTokenInformation GlobalMemoryStatusEx MapViewOfFile NtQuerySemaphore OpenEventW \
        OpenFileMappingW OpenProcess OpenProcessToken OpenSemaphoreW TerminateProcess \
        UnmapViewOfFile VirtualQuery WaitForSingleObject";

    /// Whether nobody has judged that call to be one of [`OTHERS`].
    fn is_change(call: &str) -> bool {
        OTHERS.split_whitespace().all(|other| other != call)
    }

    /// The calls of a system in a line. `imported`: what its file has from `windows_sys`.
    fn calls<'l>(line: &'l str, imported: &str) -> Vec<&'l str> {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let ends = line.match_indices('(').map(|(end, _)| end);
        let names = ends.map(|end| {
            let start = line[..end].rfind(|c| !word(c)).map_or(0, |at| at + 1);
            (&line[..start], &line[start..end])
        });
        let is_call = |(before, name): &(&str, &str)| {
            before.ends_with("libc::")
                || before.ends_with("fs::") && !name.is_empty()
                || !name.is_empty() && imported.split(|c| !word(c)).any(|one| one == *name)
        };
        names.filter(is_call).map(|(_, name)| name).collect()
    }

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
            let imported: String =
                code.split("use windows_sys::").skip(1).filter_map(|rest| rest.split(';').next()).collect();
            for (at, line) in lines.iter().enumerate() {
                let changes = CHANGES.iter().any(|change| line.contains(change)) && !line.contains(".load(")
                    || calls(line, &imported).iter().any(|call| is_change(call));
                if !changes || line.trim_start().starts_with("//") {
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

    #[test]
    fn a_call_that_nobody_has_judged_is_a_change() {
        let known = |line| calls(line, "{Foundation::{HANDLE, CloseHandle}}").join(" ");
        assert_eq!(
            known("check(unsafe { libc::renameat2(a, b) })?; self.open(c); libc::AT_FDCWD"),
            "renameat2"
        );
        assert_eq!(known("std::fs::hard_link(a, &fs::read_to_string(b))"), "hard_link read_to_string");
        assert_eq!(known("unsafe { CloseHandle(handle(x)) }; Some(HANDLE)"), "CloseHandle");
        assert!(["renameat2", "hard_link", "CloseHandle"].into_iter().all(is_change));
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
