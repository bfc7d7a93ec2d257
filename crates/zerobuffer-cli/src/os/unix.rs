//! Unix: signals by a thread that takes them, pipes by `poll`.
use std::fs::{File, Metadata};
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::signals;

/// The kernel's default limit for unprivileged pipes; fewer, larger reads and writes per frame.
#[cfg(target_os = "linux")]
const PIPE: usize = 1 << 20;

/// Readable for good once a signal came: what polls it never misses the signal.
static WAKE: OnceLock<(PipeReader, PipeWriter)> = OnceLock::new();

/// The number of a user, who is named by it or by name.
pub(crate) fn user_id(user: &str) -> Option<u32> {
    let named = || {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    };
    user.parse().ok().or_else(named)
}

/// Whether this process may remove that owner's files.
pub(crate) fn may_act_for(owner: zerobuffer::observe::Owner) -> bool {
    let uid = rustix::process::geteuid();
    uid.is_root() || owner == zerobuffer::observe::Owner::User(uid.as_raw())
}

/// Has `caught` called with SIGINT, SIGTERM and, unless it is ignored (nohup), SIGHUP; on a thread
/// of its own.
pub(crate) fn catch(caught: fn(i32)) -> io::Result<()> {
    let pipe = io::pipe()?;
    let _ = WAKE.set(pipe);
    let mut wanted = vec![SIGINT, SIGTERM];
    if !hangup_is_ignored() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    let thread = std::thread::Builder::new().name(String::from("signals"));
    thread.spawn(move || signals.forever().for_each(caught)).map(drop)
}

/// Ends this process by the signal, as if it had never been caught. Returns only where that is
/// impossible.
pub(crate) fn die_of(signal: i32) {
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// Ends all waits, present and future.
pub(crate) fn wake() {
    if let Some((_, mut trigger)) = WAKE.get().map(|(wake, trigger)| (wake, trigger)) {
        // The byte stays in the pipe, so every later poll sees it.
        let _ = trigger.write(b"!");
    }
}

/// Whether the parent asked for SIGHUP to be ignored; std has no call for it. Where there is no
/// /proc to ask, SIGHUP is left as it is: to be ended is better than not to be left alone.
fn hangup_is_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Waits until `fd` is ready, a signal came, or the time is over; says whether `fd` is ready.
///
/// `None` as `fd` waits for a signal or the time only; `None` as `timeout` waits for ever.
fn wait(fd: Option<(BorrowedFd<'_>, PollFlags)>, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        if signals::caught().is_some() {
            return Ok(false);
        }
        let mut fds = Vec::with_capacity(2);
        if let Some((fd, flags)) = fd {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        if let Some((wake, _)) = WAKE.get() {
            fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let span = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, span.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready = fd.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if ready || left.is_some_and(|left| left.is_zero()) {
            return Ok(ready);
        }
    }
}

/// Waits until a signal came or the time is over.
pub(crate) fn sleep(time: Duration) {
    if wait(None, Some(time)).is_err() {
        std::thread::sleep(time);
    }
}

/// Waits until a read will not block (`true`), a signal came, or the time is over.
pub(crate) fn wait_readable(file: &File, time: Duration) -> io::Result<bool> {
    wait(Some((file.as_fd(), PollFlags::IN)), Some(time))
}

/// Whether a read will not block, now or within `time`, whatever signals come.
pub(crate) fn readable(file: &File, time: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    let span = Timespec::try_from(time).ok();
    match poll(&mut fds, span.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until the terminal at standard input has a key, or the time is over. A terminal that is
/// gone is an error: the library that reads keys would read its end for ever.
pub(crate) fn key_comes(time: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Timespec::try_from(time).ok().as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    }
    let found = fds.first().map_or(PollFlags::empty(), PollFd::revents);
    if found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the terminal is gone"));
    }
    Ok(!found.is_empty())
}

/// The pipe that a program prints into.
pub(crate) fn pipe_file(stdout: ChildStdout) -> File {
    File::from(OwnedFd::from(stdout))
}

/// Waits until a write will not block, or a signal came.
pub(crate) fn wait_writable(file: &File) -> io::Result<()> {
    wait(Some((file.as_fd(), PollFlags::OUT)), None).map(drop)
}

/// Makes a pipe larger. Only speed depends on it; it fails on what is no pipe and beyond the
/// system's limit.
pub(crate) fn widen(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(file, PIPE);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

pub(crate) fn is_fifo(metadata: &Metadata) -> bool {
    metadata.file_type().is_fifo()
}

/// Opens a file or FIFO for reading.
pub(crate) fn open_input(path: &str, metadata: &Metadata) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    if is_fifo(metadata) {
        // A plain open would wait for the FIFO's writer where no signal reaches it.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

/// Opens a FIFO for writing; `None`: nobody reads from it yet.
pub(crate) fn open_fifo_output(path: &str) -> io::Result<Option<File>> {
    let open = File::options().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path);
    match open {
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        other => other.map(Some),
    }
}

/// Standard input past the buffer of std's Stdin.
pub(crate) fn standard_input() -> io::Result<File> {
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

/// Standard output past the buffer of std's Stdout.
pub(crate) fn standard_output() -> io::Result<File> {
    let stdout = io::stdout();
    let file = stdout.as_fd().try_clone_to_owned().map(File::from)?;
    let is_pipe = file.metadata().is_ok_and(|metadata| is_fifo(&metadata));
    // A blocked write to a pipe cannot be interrupted. Opening the pipe anew gives a description of
    // our own, so making it non-blocking leaves alone the other programs that share this standard
    // output. Without /proc there is none, and only a second signal ends such a write.
    let own = is_pipe
        .then(|| {
            File::options()
                .write(true)
                .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
                .open(format!("/proc/self/fd/{}", stdout.as_raw_fd()))
                .ok()
        })
        .flatten();
    Ok(own.unwrap_or(file))
}

/// The signal that ended a process, if one did.
pub(crate) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// This process becomes the command; an error, if that cannot be.
pub(crate) fn become_program(command: &mut Command) -> io::Result<ExitStatus> {
    Err(command.exec())
}

/// Has the command lead a process group of its own.
pub(crate) fn lead_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Asks a group whose leader was not waited for yet to end in good order.
pub(crate) fn ask_group_to_end(leader: &mut Child) {
    signal_group(leader, Signal::TERM);
}

/// Ends such a group.
pub(crate) fn kill_group(leader: &mut Child) {
    signal_group(leader, Signal::KILL);
}

fn signal_group(leader: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(leader.id()).ok().and_then(Pid::from_raw) {
        // Its number is not another group's before it was waited for.
        let _ = kill_process_group(pid, signal);
    }
}

/// Nanoseconds of the monotonic clock, which is the same one in all processes of a machine.
pub(crate) fn monotonic_ns() -> u64 {
    nanos(ClockId::Monotonic)
}

/// Processor time of all threads of this process, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    nanos(ClockId::ProcessCPUTime)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither clock is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
