//! Every file of the corpus through its target, without a fuzzer.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};
use zerobuffer_fuzz::{TARGETS, run};

fn replay(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // Shown by the harness if the file fails.
        println!("{}", path.display());
        run(target, &fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 5, "{target}: only {count} files in {}", folder.display());
}

#[test]
fn ring() {
    replay("ring");
}

#[test]
fn forms() {
    replay("forms");
}

#[test]
fn hostile() {
    replay("hostile");
}

#[test]
fn duplex() {
    replay("duplex");
}

#[test]
fn names() {
    replay("names");
}

#[test]
fn caps() {
    replay("caps");
}

#[test]
fn y4m() {
    replay("y4m");
}

#[test]
fn stamp() {
    replay("stamp");
}

#[test]
fn every_target_is_replayed() {
    let mut folders: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort_unstable();
    let mut targets = TARGETS.map(|(name, _)| name.to_owned());
    targets.sort_unstable();
    assert_eq!(folders, targets);
    assert_eq!(
        targets,
        ["caps", "duplex", "forms", "hostile", "names", "ring", "stamp", "y4m"],
        "a target without a test here"
    );
}
