//! A real clip: ffmpeg → `send` → ring → `recv` → file → ffmpeg, byte-identical on the way.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::{assert_no_files, command, name, run, start, start_command};

/// The clip that the environment names, if ffmpeg is there to decode it; a missing one fails where
/// tests are required.
fn clip() -> Option<PathBuf> {
    let missing = match std::env::var_os("ZEROBUFFER_TEST_CLIP").map(PathBuf::from) {
        None => String::from("ZEROBUFFER_TEST_CLIP names no clip (cargo xtask env sets it)"),
        Some(clip) if !clip.is_file() => format!("there is no clip {}", clip.display()),
        Some(clip) => match Command::new("ffmpeg").arg("-version").output() {
            Ok(_) => return Some(clip),
            Err(error) => format!("cannot start ffmpeg: {error}"),
        },
    };
    assert!(std::env::var_os("ZEROBUFFER_TEST_REQUIRE").is_none_or(|value| value != "1"), "{missing}");
    println!("skipped: {missing}");
    None
}

fn ffmpeg(arguments: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-threads", "1"]).args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Decodes the clip to y4m with more options of ffmpeg.
fn decode(clip: &Path, to: &Path, options: &[&str]) {
    let clip = clip.to_str().unwrap();
    let arguments =
        [&["-i", clip], options, &["-f", "yuv4mpegpipe", "-strict", "-1", "-y", to.to_str().unwrap()]];
    succeed(&mut ffmpeg(&arguments.concat()));
}

/// Compares two files of hundreds of megabytes in parts.
#[track_caller]
fn assert_same_files(got: &Path, expected: &Path) {
    let (mut got, mut expected) = (File::open(got).unwrap(), File::open(expected).unwrap());
    assert_eq!(got.metadata().unwrap().len(), expected.metadata().unwrap().len(), "another size");
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    loop {
        let count = got.read(&mut a).unwrap();
        if count == 0 {
            return;
        }
        expected.read_exact(&mut b[..count]).unwrap();
        assert!(a[..count] == b[..count], "a byte within {offset}..{} differs", offset + count);
        offset += count;
    }
}

/// What ffmpeg makes of every frame of a y4m file: one checksum per line.
fn checksums(path: &Path) -> Vec<u8> {
    succeed(&mut ffmpeg(&["-f", "yuv4mpegpipe", "-i", path.to_str().unwrap(), "-f", "framemd5", "-"])).stdout
}

#[test]
fn ffmpeg_to_send_to_recv_to_ffmpeg() {
    let Some(clip) = clip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (sent, received) = (folder.path().join("sent.y4m"), folder.path().join("received.y4m"));
    decode(&clip, &sent, &[]);

    let name = name();
    let reader = start(&["recv", &name, "--output", received.to_str().unwrap(), "--json"]);
    let mut decoder = ffmpeg(&["-i", clip.to_str().unwrap(), "-f", "yuv4mpegpipe", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = decoder.stdout.take().unwrap();
    let sender = start_command(command(&["send", &name]).stdin(pipe).stdout(Stdio::null()));
    sender.finish().ok();
    assert!(decoder.wait().unwrap().success());
    let summary = reader.finish().ok().json();
    assert_same_files(&received, &sent);
    let frames = summary["frames"].as_u64().unwrap();
    assert!(frames >= 50, "{summary}");

    let seen = checksums(&received);
    assert_eq!(seen, checksums(&sent));
    let lines = seen.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    assert_eq!(lines.count() as u64, frames);
    assert_no_files(&name);
}

#[test]
fn formats_that_ffmpeg_writes() {
    let Some(clip) = clip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (sent, received) = (folder.path().join("sent.y4m"), folder.path().join("received.y4m"));
    for (format, size) in [
        // Odd dimensions: chroma planes round up.
        ("yuv420p", "181:93"),
        ("yuv422p", "181:93"),
        ("yuv444p", "181:93"),
        ("yuv411p", "181:93"),
        ("gray", "181:93"),
        ("gray10le", "181:93"),
        ("yuv444p16le", "181:93"),
        // ffmpeg 5.1 writes half a sample too few per chroma row of deep formats of odd width, and
        // cannot read that back.
        ("yuv420p10le", "182:93"),
        ("yuv422p12le", "182:93"),
    ] {
        let scale = format!("scale={size}");
        decode(&clip, &sent, &["-vf", &scale, "-frames:v", "7", "-pix_fmt", format]);
        let name = name();
        let reader = start(&["recv", &name, "--output", received.to_str().unwrap()]);
        run(&["send", &name, "--input", sent.to_str().unwrap()]).ok();
        reader.finish().ok();
        assert_same_files(&received, &sent);
        assert_no_files(&name);
    }
}

#[test]
fn a_second_ffmpeg_reads_the_pipe() {
    let Some(clip) = clip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (direct, piped) = (folder.path().join("direct.y4m"), folder.path().join("piped.md5"));
    decode(&clip, &direct, &["-frames:v", "40"]);
    let name = name();
    let mut receiver = command(&["recv", &name]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let pipe = receiver.stdout.take().unwrap();
    let mut consumer = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "yuv4mpegpipe", "-i", "-", "-f", "framemd5", "-y"])
        .arg(&piped)
        .stdin(pipe)
        .spawn()
        .unwrap();
    run(&["send", &name, "--input", direct.to_str().unwrap()]).ok();
    assert!(receiver.wait().unwrap().success());
    assert!(consumer.wait().unwrap().success());
    assert_eq!(fs::read(&piped).unwrap(), checksums(&direct));
}

#[test]
fn demo_of_a_real_video() {
    let Some(clip) = clip() else { return };
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("clip.y4m");
    decode(&clip, &video, &["-frames:v", "30"]);
    let report = run(&["demo", "--seconds", "1", "--json", "--input", video.to_str().unwrap()]).ok().json();
    assert_eq!(report["verified"], true);
    assert!(report["frames"].as_str().unwrap().contains("C420"), "{report}");
    assert!(report["runs"][0]["frames"].as_u64().unwrap() > 30, "{report}");
}
