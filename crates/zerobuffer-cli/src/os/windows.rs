//! Windows: console events, pipes that can only be asked, the performance counter.
use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, OwnedHandle};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::ptr;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};
use windows_sys::Win32::System::Pipes::PeekNamedPipe;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessTimes};

use crate::signals;

/// How often a pipe is asked whether there is something in it: there is nothing to wait on.
const ASK: Duration = Duration::from_millis(1);

static CAUGHT: OnceLock<fn(i32)> = OnceLock::new();
static WAKE: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// Objects belong to a session here, and to no user in particular.
pub(crate) fn user_id(user: &str) -> Option<u32> {
    user.parse().ok()
}

/// Windows itself says who may do what.
pub(crate) fn may_act_for(_: zerobuffer::observe::Owner) -> bool {
    true
}

/// Has `caught` called for Ctrl-C, and when the console is closed or the user logs off; on a thread
/// of the system.
pub(crate) fn catch(caught: fn(i32)) -> io::Result<()> {
    let _ = CAUGHT.set(caught);
    // SAFETY: the handler is a function of the right type, and lives as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(handle), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

unsafe extern "system" fn handle(event: u32) -> i32 {
    let signal = match event {
        CTRL_C_EVENT | CTRL_BREAK_EVENT => super::INTERRUPT,
        // The process is ended when this returns, or some seconds later.
        _ => super::HANG_UP,
    };
    if let Some(caught) = CAUGHT.get() {
        caught(signal);
    }
    1
}

/// There are no signals to end by: the exit code says it all.
pub(crate) fn die_of(_signal: i32) {}

/// Ends all waits, present and future.
pub(crate) fn wake() {
    // Under the lock: a sleep has looked before it, or is awake after it.
    let _guard = WAKE.0.lock().unwrap_or_else(PoisonError::into_inner);
    WAKE.1.notify_all();
}

/// Waits until a signal came or the time is over.
pub(crate) fn sleep(time: Duration) {
    let guard = WAKE.0.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = WAKE.1.wait_timeout_while(guard, time, |()| signals::caught().is_none());
}

/// Whether something is there to be read, or the end of a pipe.
fn has_data(file: &File) -> bool {
    let mut available = 0;
    // SAFETY: the handle is open, and the number outlives the call, which writes nothing else.
    let asked = unsafe {
        PeekNamedPipe(
            file.as_raw_handle(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            &raw mut available,
            ptr::null_mut(),
        )
    };
    // The end of the pipe is read at once, and what is no pipe as it is.
    asked == 0 || available > 0
}

/// Waits until a read will not block (`true`), a signal came, or the time is over.
pub(crate) fn wait_readable(file: &File, time: Duration) -> io::Result<bool> {
    let deadline = Instant::now().checked_add(time);
    loop {
        if has_data(file) {
            return Ok(true);
        }
        if signals::caught().is_some() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        sleep(ASK);
    }
}

/// Whether a read will not block, now or within `time`, whatever signals come.
#[allow(clippy::unnecessary_wraps, reason = "waiting can fail on other systems")]
pub(crate) fn readable(file: &File, time: Duration) -> io::Result<bool> {
    let deadline = Instant::now().checked_add(time);
    while !has_data(file) {
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
        std::thread::sleep(ASK);
    }
    Ok(true)
}

/// Waits until the terminal has a key, or the time is over.
pub(crate) fn key_comes(time: Duration) -> io::Result<bool> {
    crossterm::event::poll(time)
}

/// The pipe that a program prints into.
pub(crate) fn pipe_file(stdout: ChildStdout) -> File {
    File::from(OwnedHandle::from(stdout))
}

/// Writes block here, and only a second Ctrl-C ends one.
#[allow(clippy::unnecessary_wraps, reason = "waiting can fail on other systems")]
pub(crate) fn wait_writable(_file: &File) -> io::Result<()> {
    Ok(())
}

/// A pipe keeps the size that its maker gave it.
pub(crate) fn widen(_file: &File) {}

/// Named pipes are no files of a folder.
pub(crate) fn is_fifo(_metadata: &Metadata) -> bool {
    false
}

/// Opens a file for reading.
pub(crate) fn open_input(path: &str, _metadata: &Metadata) -> io::Result<File> {
    File::open(path)
}

/// There are none.
pub(crate) fn open_fifo_output(path: &str) -> io::Result<Option<File>> {
    File::options().write(true).open(path).map(Some)
}

/// Standard input past the buffer of std's Stdin.
pub(crate) fn standard_input() -> io::Result<File> {
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

/// Standard output past the buffer of std's Stdout.
pub(crate) fn standard_output() -> io::Result<File> {
    io::stdout().as_handle().try_clone_to_owned().map(File::from)
}

/// Processes end with a code.
pub(crate) fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// Runs the command in this one's place: how it has ended.
pub(crate) fn become_program(command: &mut Command) -> io::Result<ExitStatus> {
    command.status()
}

/// A command has no group to be ended by; Ctrl-C at the console reaches it as well.
pub(crate) fn lead_group(command: &mut Command) -> &mut Command {
    command
}

/// There is no polite way: its names go with its handles.
pub(crate) fn ask_group_to_end(leader: &mut Child) {
    kill_group(leader);
}

/// Ends a process.
pub(crate) fn kill_group(leader: &mut Child) {
    // It may end at this very moment.
    let _ = leader.kill();
}

/// Nanoseconds of the performance counter, which is the same one in all processes of a machine.
pub(crate) fn monotonic_ns() -> u64 {
    let (mut count, mut frequency) = (0_i64, 0_i64);
    // SAFETY: both numbers outlive the calls, which do not fail on any supported system.
    unsafe {
        QueryPerformanceCounter(&raw mut count);
        QueryPerformanceFrequency(&raw mut frequency);
    }
    let nanos = i128::from(count) * 1_000_000_000 / i128::from(frequency.max(1));
    u64::try_from(nanos).unwrap_or(0)
}

/// Processor time of all threads of this process, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    // SAFETY: zeroed structures are valid out-parameters, and the handle stands for this process.
    let (kernel, user) = unsafe {
        let [mut created, mut ended, mut kernel, mut user]: [FILETIME; 4] = mem::zeroed();
        GetProcessTimes(
            GetCurrentProcess(),
            &raw mut created,
            &raw mut ended,
            &raw mut kernel,
            &raw mut user,
        );
        (kernel, user)
    };
    let ticks = |time: FILETIME| (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime);
    (ticks(kernel) + ticks(user)).saturating_mul(100)
}
