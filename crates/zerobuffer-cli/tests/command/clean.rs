//! `clean`: whose files it touches, and what proof it asks for.
// The tests look at files of Linux and speak to the command by its signals.
#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::common::elsewhere::{Elsewhere, NOBODY};
use crate::common::{assert_no_files, files, name, run, start};
use rustix::{fs::FlockOperation, process::Signal};
use serde_json::Value;

/// The bytes of a semaphore without a token.
const SEMAPHORE: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[8] = 128;
    bytes
};

fn shm(file: &str) -> PathBuf {
    Path::new("/dev/shm").join(file)
}

/// A buffer whose receiver was killed.
fn dead(name: &str) {
    let mut receiver = start(&["recv", name, "--ring", "64KiB", "--format", "null"]);
    receiver.wait_for("waiting for a writer");
    receiver.signal(Signal::KILL);
    receiver.wait();
}

fn entry(name: &str, words: &[&str]) -> Option<Value> {
    let list = run(&[&["clean", "--json", name], words].concat()).ok().json();
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned()
}

/// Removes what a test has planted.
struct Planted(Vec<PathBuf>);

impl Drop for Planted {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[test]
fn what_may_not_be_looked_at_is_said_and_fails() {
    let Some(elsewhere) = Elsewhere::new() else { return };
    let name = name();
    dead(&name);
    for words in [&["clean", &name][..], &["clean", &name, "--yes"], &["clean", &name, "--yes", "--json"]] {
        let done = elsewhere.run(words);
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(9), "{words:?}: {stderr}");
        assert!(stderr.contains("no permission to look at") && stderr.contains(&name), "{stderr}");
    }
    // One that may be looked at is still its owner's.
    fs::set_permissions(shm(&name), Permissions::from_mode(0o1644)).unwrap();
    let done = elsewhere.run(&["clean", &name, "--yes"]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(9), "{stderr}");
    assert!(stderr.contains("user 0") && stderr.contains("--user 0"), "{stderr}");
    let done = elsewhere.run(&["clean", &name, "--user", "root", "--yes"]);
    assert_eq!(done.status.code(), Some(9), "{done:?}");
    assert!(shm(&name).exists());
    run(&["clean", &name, "--yes"]).ok();
    assert_no_files(&name);
}

#[test]
fn another_users_files_are_root_s_only_when_it_says_so() {
    let Some(elsewhere) = Elsewhere::new() else { return };
    let name = name();
    let mut receiver = elsewhere.command(&["recv", &name, "--ring", "64KiB", "--format", "null"]);
    let mut receiver =
        receiver.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    crate::common::until("it is there", || shm(&name).exists());
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    let before = files(&name);
    assert_eq!(run(&["clean", "--json", &name, "--user", "root"]).stdout.trim_ascii(), b"[]");
    let done = run(&["clean", &name, "--yes"]);
    assert_eq!(done.code, Some(9), "{}", done.stderr);
    assert!(done.stderr.contains("--user 65534"), "{}", done.stderr);
    assert_eq!(files(&name), before);
    let shown = entry(&name, &["--all-users"]).unwrap();
    assert_eq!(shown["uid"], NOBODY);
    let removed = entry(&name, &["--user", "65534", "--yes"]).unwrap();
    assert!(!removed["removed"].as_array().unwrap().is_empty(), "{removed}");
    assert_no_files(&name);
}

/// A reader of another implementation may live in another pid namespace: its number proves nothing.
#[test]
fn a_buffer_of_another_implementation_is_unknown_without_its_lock_file() {
    let name = name();
    dead(&name);
    // Without the mark of a native reader.
    fs::set_permissions(shm(&name), Permissions::from_mode(0o600)).unwrap();
    let locks: Vec<String> = files(&name).into_iter().filter(|path| !path.starts_with("/dev/shm")).collect();
    assert!(!locks.is_empty());

    let held = File::open(&locks[0]).unwrap();
    rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(entry(&name, &["--yes", "--force"]), None, "its reader holds the lock file");
    drop(held);
    assert_eq!(entry(&name, &[]).unwrap()["unproven"], false, "the lock file is there and free");

    for lock in &locks {
        fs::remove_file(lock).unwrap();
    }
    let text = run(&["clean", &name]).ok();
    assert!(text.text().contains(&format!("unknown  {name}")), "{}", text.text());
    assert!(text.stderr.contains("--force"), "{}", text.stderr);
    let kept = entry(&name, &["--yes"]).unwrap();
    assert_eq!((&kept["unproven"], &kept["removed"]), (&true.into(), &serde_json::json!([])));
    assert!(shm(&name).exists());
    assert!(files(&name).iter().all(|path| path.starts_with("/dev/shm")), "no lock file was left behind");
    let removed = entry(&name, &["--yes", "--force"]).unwrap();
    assert_eq!(removed["removed"].as_array().unwrap().len(), 3, "{removed}");
    assert_no_files(&name);
}

#[test]
fn lonely_semaphores_go_and_what_only_has_their_name_stays() {
    let (own, theirs, used) = (name(), name(), name());
    let path = |name: &str| shm(&format!("sem.sem-w-{name}"));
    let planted = Planted([&own, &theirs, &used].map(|name| path(name)).into());
    fs::write(&planted.0[0], SEMAPHORE).unwrap();
    fs::write(&planted.0[1], [7; 32]).unwrap();
    fs::write(&planted.0[2], SEMAPHORE).unwrap();
    // Another program has it open as `sem_open` does.
    let open = OpenOptions::new().read(true).write(true).open(&planted.0[2]).unwrap();
    assert_eq!(entry(&theirs, &["--yes", "--force"]), None);
    assert_eq!(entry(&used, &["--yes", "--force"]), None);
    assert_eq!(fs::read(&planted.0[1]).unwrap(), [7; 32]);
    drop(open);
    for name in [&own, &used] {
        let removed = entry(name, &["--yes"]).unwrap();
        assert_eq!(removed["removed"].as_array().unwrap().len(), 1, "{removed}");
        assert!(!path(name).exists());
    }
    assert!(planted.0[1].exists());
}

#[test]
fn lone_lock_files_go_unless_they_are_held_or_have_contents() {
    let (lone, held, full) = (name(), name(), name());
    let path = |name: &str| Path::new("/tmp/zerobuffer").join(format!("{name}.lock"));
    fs::create_dir_all("/tmp/zerobuffer").unwrap();
    let planted = Planted([&lone, &held, &full].map(|name| path(name)).into());
    File::create(&planted.0[0]).unwrap();
    let holder = File::create(&planted.0[1]).unwrap();
    rustix::fs::flock(&holder, FlockOperation::LockExclusive).unwrap();
    fs::write(&planted.0[2], "[[package]]").unwrap();
    assert_eq!(entry(&held, &["--yes"]), None);
    assert_eq!(entry(&full, &["--yes"]), None);
    let removed = entry(&lone, &["--yes"]).unwrap();
    assert_eq!(removed["removed"], serde_json::json!([planted.0[0]]));
    assert_eq!(planted.0.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, true, true]);
}

/// A list of buffers locks each lock file for a moment, to ask whether it is free.
#[test]
fn a_clean_up_waits_for_those_that_only_look() {
    let names: Vec<String> = (0..8).map(|_| name()).collect();
    for name in &names {
        dead(name);
    }
    let orphans = zerobuffer::observe::orphans().unwrap();
    let orphans: Vec<_> = orphans.iter().filter(|orphan| names.contains(&orphan.name)).collect();
    assert_eq!(orphans.len(), names.len());
    let is_over = AtomicBool::new(false);
    // Opened before anything is removed.
    let paths = names.iter().map(|name| format!("/tmp/zerobuffer/{name}.lock"));
    let files: Vec<File> = paths.map(|path| File::open(path).unwrap()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for operation in [FlockOperation::NonBlockingLockShared, FlockOperation::Unlock].iter().cycle() {
                if is_over.load(Relaxed) {
                    return;
                }
                for file in &files {
                    let _ = rustix::fs::flock(file, *operation);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let removed: Vec<_> = orphans.iter().map(|orphan| zerobuffer::observe::remove(orphan)).collect();
        is_over.store(true, Relaxed);
        for paths in removed {
            assert!(!paths.unwrap().is_empty());
        }
    });
    for name in &names {
        assert_no_files(name);
    }
}

#[test]
fn the_advice_removes_what_was_asked_for_and_no_more() {
    let name = name();
    dead(&name);
    let shown = run(&["clean", &name]).ok();
    assert!(shown.stderr.contains(&format!("zerobuffer clean {name} --yes")), "{}", shown.stderr);
    let inspected = run(&["inspect", &name]).ok().text();
    assert!(inspected.contains("dead") && !inspected.contains("another implementation"), "{inspected}");
    run(&["clean", &name, "--yes"]).ok();
    assert_no_files(&name);
}
