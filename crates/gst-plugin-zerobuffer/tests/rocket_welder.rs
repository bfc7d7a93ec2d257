//! The published client (rocket-welder-sdk from PyPI) receives from `zerosink` and answers
//! `zerofilter`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use common::{checksums, finish, name, start};

/// The client in a process of its own, once it waits for frames; `None` where there is none.
fn client(mode: &str, name: &str, count: u32) -> Option<(Child, BufReader<std::process::ChildStdout>)> {
    let Some(python) = std::env::var_os("ZEROBUFFER_ROCKET_WELDER") else {
        println!(
            "skipped: ZEROBUFFER_ROCKET_WELDER names no Python with rocket-welder-sdk (cargo xtask test gstreamer)"
        );
        return None;
    };
    let mut child = Command::new(python)
        .args(["-c", include_str!("rocket_welder.py"), mode, name, &count.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    Some((child, output))
}

/// Removes what the published client leaves of its buffers: its readers let go of a semaphore
/// before they unlink it, which then does nothing.
struct Semaphores(String);

impl Drop for Semaphores {
    fn drop(&mut self) {
        for side in ["r", "w"] {
            let _ = std::fs::remove_file(format!("/dev/shm/sem.sem-{side}-{}", self.0));
        }
    }
}

fn lines(mut child: Child, mut output: BufReader<std::process::ChildStdout>) -> Vec<String> {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text.lines().map(str::to_owned).collect()
}

const SOURCE: &str =
    "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=RGB,width=1920,height=1080,framerate=25/1";

#[test]
fn it_receives_from_zerosink() {
    let name = name();
    let _left = [Semaphores(name.clone()), Semaphores(format!("{name}_request"))];
    let Some((child, output)) = client("OneWay", &name, 20) else { return };
    let sent =
        finish(start(&format!("{SOURCE} ! zerosink buffer-name={name} connect-timeout=20000 sync=false")));
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let expected = checksums(&finish(start(&format!("{SOURCE} ! checksumsink hash=sha1 sync=false"))));
    assert_eq!(lines(child, output), expected);
}

#[test]
fn it_answers_zerofilter_and_sees_right_stamps() {
    let name = name();
    let _left = [Semaphores(name.clone()), Semaphores(format!("{name}_request"))];
    let Some((child, output)) = client("Duplex", &name, 20) else { return };
    let got = finish(start(&format!(
        "{SOURCE} ! zerofilter channel-name={name} on-server-gone=error timeout-ms=20000 ! checksumsink hash=sha1 sync=false"
    )));
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    let lines = lines(child, output);
    let got = checksums(&got);
    assert_eq!(got.len(), 20);
    for (index, (got, line)) in got.iter().zip(&lines).enumerate() {
        assert_eq!(*line, format!("{got} {index} {}", index * 40_000_000));
    }
}

#[test]
fn changed_caps_beside_a_legacy_reader_are_an_error_with_the_remedy() {
    let name = name();
    let _left = [Semaphores(name.clone()), Semaphores(format!("{name}_request"))];
    let Some((child, output)) = client("Legacy", &name, 10) else { return };
    let sent = finish(start(&format!(
        "concat name=c ! zerosink buffer-name={name} connect-timeout=20000 sync=false \
         videotestsrc num-buffers=10 ! video/x-raw,format=GRAY8,width=64,height=48 ! c. \
         videotestsrc num-buffers=10 ! video/x-raw,format=GRAY8,width=32,height=16 ! c."
    )));
    let error = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(error.contains("its reader is of another implementation: restart it"), "{error}");
    assert!(error.contains(&name), "{error}");
    drop(lines(child, output));
}
