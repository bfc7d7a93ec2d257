//! Where `futex_waitv` is not allowed or not known, the same tests pass.

use super::common;
use std::{io, process::Command};

const INSIDE: &str = "ZEROBUFFER_TEST_SANDBOX";
const FUTEX_WAITV: u32 = 449;

/// Whether this process was started by the test below.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// From now on the call fails with `errno`, in this process and all that it starts.
fn forbid(errno: u32) -> io::Result<()> {
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let load_number = statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0);
    let is_waitv = libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: FUTEX_WAITV,
    };
    let fail = statement((libc::BPF_RET | libc::BPF_K) as u16, libc::SECCOMP_RET_ERRNO | errno);
    let allow = statement((libc::BPF_RET | libc::BPF_K) as u16, libc::SECCOMP_RET_ALLOW);
    let mut filter = [load_number, is_waitv, fail, allow];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives through the calls.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn the_suite_passes_in_a_sandbox_that_forbids_the_call() {
    use std::os::unix::process::CommandExt;

    if is_inside() {
        common::skipped("this is the sandbox");
        return;
    }
    for errno in [libc::ENOSYS, libc::EPERM] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["suite::", "misuse::", "cancel::", "fork::", "idle::", "events::", "--nocapture"]);
        command.args(["--test-threads", "4"]).env(INSIDE, "1").env("ZEROBUFFER_TEST_CANCELLATIONS", "500");
        // SAFETY: system calls on constants, without allocation.
        unsafe { command.pre_exec(move || forbid(errno.cast_unsigned())) };
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines().filter(|line| line.contains("waiting readers")) {
            println!("in the sandbox: {line}");
        }
        assert!(
            output.status.success(),
            "errno {errno}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
