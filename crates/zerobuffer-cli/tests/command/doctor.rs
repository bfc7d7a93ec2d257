//! `doctor` on this machine, and in places where something is missing.
// Its facts are those of Linux here.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use crate::common::elsewhere::Elsewhere;
use crate::common::{Done, name, run, start, start_command};
use rustix::process::Signal;
use serde_json::Value;

/// The findings about one thing.
fn about(report: &Value, what: &str) -> Vec<Value> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["about"] == what).cloned().collect()
}

/// One finding has the level and the words, and says what helps.
#[track_caller]
fn says(report: &Value, what: &str, level: &str, words: &str, remedy: &str) {
    let found = about(report, what);
    let is_it = |finding: &Value| {
        let remedies = finding["remedies"].to_string();
        finding["level"] == level
            && finding["found"].as_str().unwrap().contains(words)
            && remedies.contains(remedy)
    };
    assert!(found.iter().any(is_it), "{what} {level} {words} {remedy}: {found:?}");
}

fn shell(script: &str, arguments: &[&str]) -> Done {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_zerobuffer")).args(arguments);
    start_command(command.env_remove("ZEROBUFFER_LOG").stdin(Stdio::null()).stdout(Stdio::piped())).finish()
}

#[test]
fn this_machine_can_do_the_job() {
    let done = run(&["doctor", "--ring", "1MiB"]).ok();
    assert!(done.stderr.contains("no problem"), "{}", done.stderr);
    assert!(done.stderr.contains("; a ring of 1 MiB fits"), "{}", done.stderr);
    let page = done.text();
    for thing in ["/proc", "/dev/shm", "room", "memory", "file size", "RemoveIPC", "kernel", "trial"] {
        assert!(page.lines().any(|line| line.contains(&format!(" {thing} "))), "{thing}: {page}");
    }
    assert!(!page.contains("PROBLEM"), "{page}");
    let report = run(&["doctor", "--ring", "1MiB", "--json"]).ok().json();
    assert_eq!((&report["problems"], &report["system"]), (&Value::from(0), &Value::from("linux")));
    says(&report, "trial", "ok", "a frame went through it", "");
}

#[test]
fn a_ring_that_nothing_can_hold_is_a_problem_with_its_exit_code() {
    let done = run(&["doctor", "--ring", "64TiB"]);
    assert!(done.text().contains("PROBLEM"), "{}", done.text());
    done.failed(12, &["64.00 TiB are asked for: a ring of 64 TiB and 64 KiB besides"]);
    let done = run(&["doctor", "--ring", "64TiB", "--json"]);
    assert!(done.json()["problems"].as_u64().unwrap() >= 1, "{}", done.text());
    done.failed(12, &["64.00 TiB"]);
}

#[test]
fn a_container_with_64_mib_and_a_user_without_rights() {
    const SCRIPT: &str = "mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm && \
                          exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\"";
    let Some(elsewhere) = Elsewhere::new() else { return };
    let allowed = Command::new("unshare").args(["-m", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: this system does not let root make a mount namespace");
        return;
    }
    let inside = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", SCRIPT]).arg(elsewhere.program()).args(words).current_dir("/");
        start_command(command.stdin(Stdio::null()).stdout(Stdio::piped())).finish()
    };
    let report = inside(&["doctor", "--json"]).ok().json();
    says(&report, "room", "warning", "64 MiB of 64 MiB are free: 10 pictures", "--shm-size");
    says(&report, "trial", "ok", "", "");
    let done = inside(&["doctor", "--ring", "80MiB", "--json"]);
    says(&done.json(), "room", "problem", "64 MiB of 64 MiB are free, and 80.06 MiB", "shm_size");
    done.failed(12, &["80.06 MiB"]);
}

#[test]
fn limits_of_the_shell() {
    let done = shell("ulimit -f 1024; exec \"$0\" \"$@\"", &["doctor", "--json"]);
    says(&done.json(), "file size", "problem", "are asked for", "ulimit -f unlimited");
    done.failed(12, &["a file may have"]);
    let done = shell("ulimit -n 40; exec \"$0\" \"$@\"", &["doctor", "--ring", "1MiB", "--json"]).ok();
    says(&done.json(), "open files", "warning", "may open 40", "LimitNOFILE");
}

#[test]
fn what_a_killed_reader_has_left() {
    let name = name();
    let mut receiver = start(&["recv", &name, "--ring", "64KiB", "--format", "null"]);
    receiver.wait_for("waiting for a writer");
    receiver.signal(Signal::KILL);
    receiver.wait();
    let left = |report: &Value| {
        let found = about(report, "leftovers");
        found.iter().any(|finding| {
            finding["level"] == "warning" && finding["remedies"][0].to_string().contains("--yes")
        })
    };
    assert!(left(&run(&["doctor", "--ring", "1MiB", "--json"]).ok().json()));
    run(&["clean", &name, "--yes"]).ok();
}
