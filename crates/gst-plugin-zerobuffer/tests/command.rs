//! The `zerobuffer` command at one end, the elements at the other: the same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{finish, name, start};
use zerobuffer_video::{Format, Layout, Video};

/// Sizes whose rows GStreamer pads, and one that it does not.
const SIZES: [(u32, u32); 4] = [(854, 480), (1366, 768), (33, 17), (640, 480)];

/// The command with the given words; `None` where it was not built.
fn command(words: &[&str]) -> Option<Child> {
    let Some(program) = std::env::var_os("ZEROBUFFER_COMMAND") else {
        println!("skipped: ZEROBUFFER_COMMAND does not name the command (cargo xtask test gstreamer)");
        return None;
    };
    let mut command = Command::new(program);
    Some(command.args(words).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

fn file(label: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{label}", name()))
}

fn done(child: Child) {
    let output = finish(child);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn source((width, height): (u32, u32)) -> String {
    format!(
        "videotestsrc num-buffers=8 pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=25/1"
    )
}

/// What GStreamer itself writes of a chain.
fn direct(chain: &str, label: &str) -> PathBuf {
    let path = file(label);
    done(start(&format!("{chain} ! filesink location={}", path.display())));
    path
}

/// The pixels of the pictures in a file with GStreamer's rows, without what pads these.
fn pixels(path: &Path, (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let video = Video::new(Format::from_name("I420").unwrap(), width, height).unwrap();
    let layout = Layout::padded(&video).unwrap();
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), 8 * layout.size(), "{}", path.display());
    bytes.chunks(layout.size()).map(|picture| layout.runs(picture).flatten().copied().collect()).collect()
}

fn same(expected: &Path, found: &Path, size: (u32, u32)) {
    assert!(pixels(expected, size) == pixels(found, size), "{size:?}: other pixels");
}

/// Has `recv` write what `zerosink` sends into a file.
fn received(size: (u32, u32), format: &[&str]) -> Option<PathBuf> {
    let (name, path) = (name(), file("received"));
    let words = [&["recv", &name, "--quiet"], format, &["--output", path.to_str().unwrap()]].concat();
    let receiver = command(&words)?;
    done(start(&format!("{} ! zerosink buffer-name={name} connect-timeout=20000 sync=false", source(size))));
    done(receiver);
    Some(path)
}

#[test]
fn recv_writes_what_zerosink_sends() {
    for size in SIZES {
        let Some(path) = received(size, &["--format", "raw", "--rows", "padded"]) else { return };
        let expected = direct(&source(size), "expected");
        same(&expected, &path, size);
        for path in [expected, path] {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn zerosrc_gives_what_send_reads() {
    for size in SIZES {
        let Some(y4m) = received(size, &["--format", "y4m"]) else { return };
        for stamp in [&["--stamp"][..], &[]] {
            let (name, path) = (name(), file("given"));
            let receiver = start(&format!(
                "zerosrc buffer-name={name} on-writer-gone=eos ! filesink location={}",
                path.display()
            ));
            let words = ["send", &name, "--quiet", "--input", y4m.to_str().unwrap()];
            // It was found above.
            let sender = command(&[&words[..], stamp].concat());
            done(receiver);
            if let Some(sender) = sender {
                done(sender);
            }
            let expected = direct(&source(size), "expected");
            same(&expected, &path, size);
            for path in [expected, path] {
                std::fs::remove_file(path).unwrap();
            }
        }
        std::fs::remove_file(y4m).unwrap();
    }
}
