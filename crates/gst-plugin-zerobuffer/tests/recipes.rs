//! The shell lines of the papers, each run as it stands, with another program at its other end.
//!
//! A camera needs hardware: a source of test pictures in a camera's format stands for it. Windows
//! are drawn into nothing, and `ffplay` ends with its input. All the rest is as a reader types it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{name, tool};

/// Frames of the film.
const FRAMES: usize = 25;
/// Bytes of one of its pictures, 1280 x 720 in I420.
const PICTURE: usize = 1280 * 720 * 3 / 2;
/// Several times what a recipe takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// How a recipe shows that it has done its work.
enum Shows {
    /// That many pictures in a y4m file.
    Pictures(&'static str, usize),
    /// That many in a file that `ffprobe` reads.
    Film(&'static str, usize),
    /// A file of that many bytes, or more.
    Bytes(&'static str, u64),
    /// These words, among what it prints.
    Words(&'static str),
    /// The checksum of the first ten pictures, printed.
    Checksum,
    /// The programs at its other end succeed, who could not without it.
    Others,
}

struct Recipe {
    /// As it stands in a paper, without its comment.
    line: &'static str,
    /// What runs before it: lines that begin with `until` or `(` to their end, others beside it.
    before: &'static [&'static str],
    after: &'static [&'static str],
    shows: Shows,
    /// It goes on until it is interrupted.
    is_endless: bool,
}

const SEND: &str = "zerobuffer send cam --quiet --input film.y4m";
const SEND_PACED: &str = "zerobuffer send cam --quiet --realtime --input film.y4m";
const SEND_WIDE: &str = "zerobuffer send cam --quiet --input wide.y4m";
const SEND_TO_ONE: &str =
    "zerobuffer tee cam --subscribers 1 & zerobuffer send cam --quiet --realtime --input film.y4m; wait";
/// The film again and again, at its pace, once the other ends are there. A receiver that misses the
/// first picture waits long for another one that needs none before it.
const SEND_LONG: &str =
    "sleep 4; timeout 10 zerobuffer send cam --quiet --realtime --loop --input film.y4m || true";
const RECV_SOME: &str = "zerobuffer recv cam --quiet --frames 10 --output got.y4m";
const RECV_SOME_AGAIN: &str = "zerobuffer recv cam-again --quiet --frames 10 --output got.y4m";
const RECV: &str = "zerobuffer recv cam --quiet --output got.y4m";
const RECV_RAW: &str = "zerobuffer recv cam --quiet --format raw --output got.raw";
const UNTIL_THERE: &str = "until zerobuffer inspect cam >/dev/null 2>&1; do sleep 0.1; done";
const RECORDED: &str = "(zerobuffer send cam --quiet --input film.y4m & zerobuffer send depth --quiet --input film.y4m & zerobuffer record cam depth --quiet -o drive.mcap; wait)";
const RECORDED_PARTS: &str = "(zerobuffer send cam --quiet --input film.y4m & zerobuffer send depth --quiet --input film.y4m & zerobuffer record cam depth --quiet -o drive.mcap --split-size 20MiB; wait)";

const fn recipe(line: &'static str, others: &'static [&'static str], shows: Shows) -> Recipe {
    Recipe { line, before: &[], after: others, shows, is_endless: false }
}

const fn endless(line: &'static str, others: &'static [&'static str], shows: Shows) -> Recipe {
    Recipe { line, before: &[], after: others, shows, is_endless: true }
}

const RECIPES: &[Recipe] = &[
    // README.md
    recipe("zerobuffer recv cam --output copy.y4m &", &[SEND], Shows::Pictures("copy.y4m", FRAMES)),
    recipe(
        "ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam",
        &[RECV],
        Shows::Pictures("got.y4m", FRAMES),
    ),
    recipe(
        "ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam --realtime",
        &[RECV],
        Shows::Pictures("got.y4m", FRAMES),
    ),
    recipe("zerobuffer recv cam | ffmpeg -i - -c:v libx264 out.mp4", &[SEND], Shows::Film("out.mp4", FRAMES)),
    endless(
        "zerobuffer send cam --input film.y4m --loop --full drop",
        &["zerobuffer recv cam --quiet --frames 40 --output got.y4m"],
        Shows::Pictures("got.y4m", 40),
    ),
    recipe(
        "zerobuffer recv cam --ring 64MiB --mode 660 --output copy.y4m",
        &[SEND],
        Shows::Pictures("copy.y4m", FRAMES),
    ),
    recipe(
        "ffmpeg -i film.mp4 -pix_fmt rgb24 -f rawvideo - | zerobuffer send cam --size 2764800",
        &[RECV_RAW],
        Shows::Bytes("got.raw", FRAMES as u64 * 2_764_800),
    ),
    recipe(
        "zerobuffer recv cam --format raw --frames 10 | sha256sum",
        &["zerobuffer send cam --quiet --input film.y4m || true"],
        Shows::Checksum,
    ),
    endless(
        "zerobuffer recv cam --follow --output all.y4m",
        &["zerobuffer send cam --quiet --input film.y4m && zerobuffer send cam --quiet --input film.y4m"],
        Shows::Pictures("all.y4m", 2 * FRAMES),
    ),
    recipe("zerobuffer recv cam --latest | ffplay -i -", &[SEND_PACED], Shows::Words("1280x720")),
    recipe(
        "ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam --reconnect",
        &[RECV],
        Shows::Pictures("got.y4m", FRAMES),
    ),
    recipe(
        "zerobuffer record cam depth -o drive.mcap",
        &[SEND, "zerobuffer send depth --quiet --input film.y4m"],
        Shows::Bytes("drive.mcap", (2 * FRAMES * PICTURE) as u64),
    ),
    Recipe {
        line: "zerobuffer recv cam --tap | ffplay -i -",
        before: &[RECV, UNTIL_THERE],
        after: &[SEND_PACED],
        shows: Shows::Words("1280x720"),
        is_endless: false,
    },
    Recipe {
        line: "zerobuffer replay drive.mcap --speed 2 --as cam=cam-again",
        before: &[RECORDED],
        after: &[
            "zerobuffer recv cam-again --quiet --output got.y4m",
            "zerobuffer recv depth --quiet --format null",
        ],
        shows: Shows::Pictures("got.y4m", FRAMES),
        is_endless: false,
    },
    endless(
        "zerobuffer serve shout --exec 'tr a-z A-Z' --timeout 5 &",
        &["test \"$(echo hello | zerobuffer call shout)\" = HELLO"],
        Shows::Others,
    ),
    Recipe {
        line: "echo hello | zerobuffer call shout",
        before: &["timeout 10 zerobuffer serve shout --exec 'tr a-z A-Z' --timeout 5 || true"],
        after: &[],
        shows: Shows::Words("HELLO"),
        is_endless: false,
    },
    // docs/video.md
    recipe(
        "gst-launch-1.0 v4l2src ! videoconvert ! zerosink buffer-name=cam sync=false",
        &[RECV_RAW],
        Shows::Bytes("got.raw", FRAMES as u64 * 640 * 480 * 2),
    ),
    recipe(
        "ffmpeg -f v4l2 -i /dev/video0 -f yuv4mpegpipe -pix_fmt yuv420p - | zerobuffer send cam --stamp",
        &[RECV],
        Shows::Pictures("got.y4m", FRAMES),
    ),
    recipe("zerobuffer recv cam | ffplay -f yuv4mpegpipe -", &[SEND], Shows::Words("1280x720")),
    // More than the ring of 64 MiB takes, so it was shown.
    endless(
        "gst-launch-1.0 zerosrc buffer-name=cam ! videoconvert ! autovideosink",
        &["for turn in 1 2 3 4; do zerobuffer send cam --quiet --input film.y4m || exit 1; done"],
        Shows::Others,
    ),
    // docs/gstreamer.md
    endless(
        "gst-launch-1.0 videotestsrc ! video/x-raw,format=I420 ! zerosink buffer-name=cam sync=false",
        &["zerobuffer recv cam --frames 50 | ffplay -f yuv4mpegpipe -"],
        Shows::Others,
    ),
    recipe(
        "zerobuffer recv cam --format raw --rows padded | gst-launch-1.0 fdsrc ! rawvideoparse format=i420 width=854 height=480 ! autovideosink",
        &[SEND_WIDE],
        Shows::Words("Got EOS from element"),
    ),
    recipe(
        "zerobuffer recv cam --format raw --rows tight | ffplay -f rawvideo -pixel_format yuv420p -video_size 854x480 -",
        &[SEND_WIDE],
        Shows::Words("854x480"),
    ),
    recipe(
        "gst-launch-1.0 v4l2src ! videoconvert ! zerofilter channel-name=ai timeout-ms=100 ! autovideosink",
        &[],
        Shows::Words("Got EOS from element"),
    ),
    // docs/command.md
    Recipe {
        line: "zerobuffer tee cam --follow",
        before: &[
            "zerobuffer recv cam@screen --quiet --frames 25 --output got.y4m",
            "until zerobuffer inspect cam@screen; do sleep 0.1; done",
        ],
        after: &[SEND_PACED],
        shows: Shows::Pictures("got.y4m", FRAMES),
        is_endless: true,
    },
    // docs/viewer.md
    Recipe {
        line: "zerobuffer view camera depth --listen 127.0.0.1:0",
        before: &[
            "timeout 20 zerobuffer recv camera --format null || true",
            "timeout 20 zerobuffer recv depth --format null || true",
            "until zerobuffer inspect camera && zerobuffer inspect depth; do sleep 0.1; done",
        ],
        after: &[],
        shows: Shows::Words("in a browser"),
        is_endless: true,
    },
    // docs/recording.md
    recipe(
        "zerobuffer record cam depth -o drive.mcap --split-size 4GiB",
        &[SEND, "zerobuffer send depth --quiet --input film.y4m"],
        Shows::Bytes("drive-000.mcap", (2 * FRAMES * PICTURE) as u64),
    ),
    Recipe {
        line: "zerobuffer replay drive-*.mcap --speed 2",
        before: &[RECORDED_PARTS],
        after: &[RECV, "zerobuffer recv depth --quiet --format null"],
        shows: Shows::Pictures("got.y4m", FRAMES),
        is_endless: false,
    },
    Recipe {
        line: "zerobuffer tee cam --for disk=block:60 --subscribers 2",
        before: &[
            "zerobuffer record cam@disk --quiet -o drive.mcap",
            "zerobuffer recv cam@screen --quiet --output got.y4m",
            "until zerobuffer inspect cam@disk && zerobuffer inspect cam@screen; do sleep 0.1; done",
        ],
        after: &["zerobuffer send cam --quiet --realtime --input film.y4m"],
        shows: Shows::Bytes("drive.mcap", (FRAMES * PICTURE) as u64),
        is_endless: false,
    },
    recipe(
        "zerobuffer record cam@disk -o drive.mcap --ring 512MiB",
        &["zerobuffer tee cam --for disk=block:60 --subscribers 1", SEND],
        Shows::Bytes("drive.mcap", (FRAMES * PICTURE) as u64),
    ),
    recipe(
        "zerobuffer record cam --foxglove -o look.mcap",
        &[SEND],
        Shows::Bytes("look.mcap", (FRAMES * PICTURE) as u64),
    ),
    // docs/broadcast.md
    Recipe {
        line: "zerobuffer tee cam --follow &",
        before: &[
            "zerobuffer recv cam@file --quiet --frames 25 --output got.y4m",
            "until zerobuffer inspect cam@file; do sleep 0.1; done",
        ],
        after: &[SEND_PACED],
        shows: Shows::Pictures("got.y4m", FRAMES),
        is_endless: true,
    },
    recipe(
        "ffmpeg -i film.mp4 -f yuv4mpegpipe - | zerobuffer send cam &",
        &[RECV],
        Shows::Pictures("got.y4m", FRAMES),
    ),
    recipe("zerobuffer recv cam@screen --latest | ffplay -i - &", &[SEND_TO_ONE], Shows::Words("1280x720")),
    recipe(
        "zerobuffer recv cam@file --ring 256MiB --output copy.y4m",
        &[SEND_TO_ONE],
        Shows::Pictures("copy.y4m", FRAMES),
    ),
    // docs/bridge.md
    endless(
        "gst-launch-1.0 zerosrc buffer-name=cam ! videoconvert ! x264enc tune=zerolatency bitrate=5000 ! mpegtsmux ! srtsink uri=srt://:7001",
        &[
            RECV_SOME_AGAIN,
            "timeout 15 gst-launch-1.0 srtsrc uri=srt://127.0.0.1:7001 ! tsdemux ! h264parse ! avdec_h264 ! videoconvert ! zerosink buffer-name=cam-again sync=false || true",
            SEND_LONG,
        ],
        Shows::Pictures("got.y4m", 10),
    ),
    endless(
        "gst-launch-1.0 srtsrc uri=srt://camera.example:7001 ! tsdemux ! h264parse ! avdec_h264 ! videoconvert ! zerosink buffer-name=cam sync=false",
        &[
            RECV_SOME,
            "timeout 15 gst-launch-1.0 videotestsrc is-live=true num-buffers=150 ! video/x-raw,format=I420,width=1280,height=720,framerate=25/1 ! x264enc key-int-max=10 tune=zerolatency bitrate=5000 ! mpegtsmux ! srtsink uri=srt://:7001 || true",
        ],
        Shows::Pictures("got.y4m", 10),
    ),
    Recipe {
        line: "gst-launch-1.0 zerosrc buffer-name=cam ! videoconvert ! x264enc tune=zerolatency ! rtph264pay config-interval=-1 ! udpsink host=viewer.example port=5004",
        before: &[
            RECV_SOME_AGAIN,
            "timeout 15 gst-launch-1.0 udpsrc port=5004 caps=\"application/x-rtp,media=video,clock-rate=90000,encoding-name=H264\" ! rtpjitterbuffer ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! zerosink buffer-name=cam-again sync=false || true",
        ],
        after: &[SEND_LONG],
        shows: Shows::Pictures("got.y4m", 10),
        is_endless: true,
    },
    endless(
        "gst-launch-1.0 udpsrc port=5004 caps=\"application/x-rtp,media=video,clock-rate=90000,encoding-name=H264\" ! rtpjitterbuffer ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! zerosink buffer-name=cam sync=false",
        &[
            RECV_SOME,
            "timeout 60 gst-launch-1.0 videotestsrc is-live=true num-buffers=150 ! video/x-raw,format=I420,width=1280,height=720,framerate=25/1 ! x264enc key-int-max=10 tune=zerolatency ! rtph264pay config-interval=-1 ! udpsink host=127.0.0.1 port=5004",
        ],
        Shows::Pictures("got.y4m", 10),
    ),
];

/// Lines that are no streams, and what runs them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo ", "the gate builds everything"),
    ("apt-get install ", "the step installs the same packages"),
    ("zerobuffer recv cam --global ", "Windows only"),
    ("zerobuffer doctor ", "its tests have machines with faults"),
    (
        "zerobuffer recv cam | ffmpeg -i - -c:v libx264 -tune ",
        "by hand: one lost datagram costs 250 pictures",
    ),
    ("ffmpeg -i udp://0.0.0.0:5000 ", "by hand: the same"),
    ("zerobuffer-bridge ", "the step `bridge`"),
    ("echo hello | zerobuffer call calc ", "the step `bridge`, in Rust"),
    ("sh certificates.sh ", "the step `bridge`"),
    ("install -m 644 ", "the step `bridge` runs the unit as systemd would"),
    ("mkdir -p /etc/zerobuffer ", "the same"),
    ("systemctl ", "the same"),
    ("podman ", "the step `bridge` runs the program in the image's root"),
    ("zerobuffer view", "the tests of the viewer: the default port may be taken here"),
];

/// The shell lines of a paper.
fn lines(paper: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(paper);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut found = Vec::new();
    let mut fence = None;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        let command = match fence {
            Some("sh") => Some(line),
            Some("console") => line.strip_prefix("$ "),
            _ => None,
        };
        let command = command.map(|line| line.split("  #").next().unwrap().trim());
        found.extend(command.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    found
}

/// A folder with a film and the programs in it.
struct Kitchen {
    folder: PathBuf,
    name: String,
    /// Nobody else's at the moment.
    port: u16,
}

impl Drop for Kitchen {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Kitchen {
    /// A fresh one, with the films in it.
    fn open() -> Kitchen {
        let name = name();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        if let Some(program) = std::env::var_os("ZEROBUFFER_COMMAND") {
            symlink(program, folder.join("bin/zerobuffer")).unwrap();
        }
        // Without this option it waits for somebody who closes its window.
        let ffplay = folder.join("bin/ffplay");
        std::fs::write(&ffplay, "#!/bin/sh\nexec /usr/bin/ffplay -autoexit \"$@\"\n").unwrap();
        std::fs::set_permissions(&ffplay, std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let kitchen = Kitchen { folder, name, port };
        for (file, size) in [("film.mp4", "1280x720"), ("film.y4m", "1280x720"), ("wide.y4m", "854x480")] {
            let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            if !made.is_file() {
                let line = format!(
                    "ffmpeg -v error -f lavfi -i testsrc2=size={size}:rate=25 -frames:v {FRAMES} -pix_fmt yuv420p {file}"
                );
                let mut child = kitchen.start(&line, "film");
                assert!(kitchen.ends(&mut child, Instant::now()), "{}", kitchen.said("film"));
                // Another test may be making it, too: the same.
                std::fs::rename(kitchen.folder.join(file), &made).unwrap();
            }
            symlink(made, kitchen.folder.join(file)).unwrap();
        }
        kitchen
    }

    /// The line with buffers of its own, and with what stands for a camera.
    fn line(&self, text: &str) -> String {
        // The other machine is this one.
        let mut text = text.to_owned();
        for host in ["camera.example", "viewer.example"] {
            text = text.replace(host, "127.0.0.1");
        }
        let mut line = String::new();
        let mut word = String::new();
        for letter in text.chars().chain([' ']) {
            if letter.is_ascii_alphanumeric() || letter == '-' || letter == '_' {
                word.push(letter);
                continue;
            }
            if ["cam", "cam-again", "camera", "depth", "shout", "ai"].contains(&word.as_str()) {
                line.push_str(&self.name);
                line.push('-');
            }
            line.push_str(&word);
            line.push(letter);
            word.clear();
        }
        let camera = format!(
            "videotestsrc is-live=true num-buffers={FRAMES} ! video/x-raw,format=YUY2,width=640,height=480,framerate=30/1"
        );
        let pictures =
            format!("-f lavfi -i testsrc2=size=640x480:rate=30,trim=end_frame={FRAMES},format=yuyv422");
        let mut line = line.replace("v4l2src", &camera).replace("-f v4l2 -i /dev/video0", &pictures);
        for port in [":7001", "port=5004"] {
            let own = format!("{}{}", port.trim_end_matches(|digit: char| digit.is_ascii_digit()), self.port);
            line = line.replace(port, &own);
        }
        line
    }

    /// A shell with the line, in a group of its own; what it prints goes to a file.
    fn start(&self, text: &str, label: &str) -> Child {
        let line = self.line(text.trim_end_matches('&'));
        let path = std::env::var("PATH").unwrap();
        let out = std::fs::File::create(self.folder.join(format!("{label}.out"))).unwrap();
        let mut shell = tool("sh");
        shell.arg("-c").arg(line).current_dir(&self.folder).process_group(0);
        shell.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        shell.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
        // There is no screen, and one of Debian's sinks for none ends its program.
        shell.env("GST_PLUGIN_FEATURE_RANK", "fakevideosink:MAX");
        shell.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        shell.spawn().unwrap()
    }

    fn said(&self, label: &str) -> String {
        let bytes = std::fs::read(self.folder.join(format!("{label}.out"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for its end; whether it succeeded.
    fn ends(&self, child: &mut Child, began: Instant) -> bool {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            if began.elapsed() > LIMIT {
                signal(child, "-KILL");
                child.wait().unwrap();
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn shows(&self, shows: &Shows) -> Result<(), String> {
        let bytes = |file: &str| std::fs::read(self.folder.join(file)).unwrap_or_default();
        let same = |found: usize, wanted: usize| {
            if found == wanted { Ok(()) } else { Err(format!("{found} in place of {wanted}")) }
        };
        match shows {
            Shows::Pictures(file, count) => same(pictures(&bytes(file)), *count),
            Shows::Film(file, count) => {
                let words = "-v error -count_frames -select_streams v -show_entries stream=nb_read_frames -of csv=p=0";
                let mut probe = Command::new("ffprobe");
                let output = probe.args(words.split(' ')).arg(self.folder.join(file)).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                same(text.trim().trim_end_matches(',').parse().unwrap_or(0), *count)
            }
            Shows::Bytes(file, count) => {
                let found = bytes(file).len() as u64;
                if found >= *count { Ok(()) } else { Err(format!("{found} bytes in place of {count}")) }
            }
            Shows::Words(words) => {
                let said = self.said("recipe");
                if said.contains(words) { Ok(()) } else { Err(format!("it does not say {words:?}")) }
            }
            Shows::Checksum => {
                let film = bytes("film.y4m");
                let head = film.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                let frames = film[head..].chunks(6 + PICTURE).take(10).flat_map(|frame| &frame[6..]);
                let file = self.folder.join("ten");
                std::fs::write(&file, frames.copied().collect::<Vec<u8>>()).unwrap();
                let output = Command::new("sha256sum").arg(&file).output().unwrap();
                let sum = String::from_utf8_lossy(&output.stdout)[..64].to_owned();
                if self.said("recipe").contains(&sum) { Ok(()) } else { Err(String::from("another sum")) }
            }
            Shows::Others => Ok(()),
        }
    }

    /// Runs a recipe; what is wrong with it, if anything is.
    fn cook(&self, recipe: &Recipe) -> Result<(), String> {
        let began = Instant::now();
        let mut others = Vec::new();
        for (index, line) in recipe.before.iter().enumerate() {
            let label = format!("before-{index}");
            let mut child = self.start(line, &label);
            if line.starts_with("until") || line.starts_with('(') {
                if !self.ends(&mut child, began) {
                    return Err(format!("{line}: {}", self.said(&label)));
                }
            } else {
                others.push((child, label));
            }
        }
        let mut child = self.start(recipe.line, "recipe");
        for (index, line) in recipe.after.iter().enumerate() {
            let label = format!("after-{index}");
            others.push((self.start(line, &label), label));
        }
        let mut result = Ok(());
        if !recipe.is_endless && !self.ends(&mut child, began) {
            result = Err(String::from("it failed, or did not end"));
        }
        // Those beside an endless one end by themselves, or are known to be cut off.
        let is_view = recipe.line.contains(" view ");
        while is_view && self.shows(&recipe.shows).is_err() && began.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(50));
        }
        for (other, label) in &mut others {
            if !self.ends(other, began) {
                result = result.and(Err(format!("{label} failed: {}", self.said(label))));
            }
        }
        if recipe.is_endless {
            // What was received is in its file a moment after its sender has gone.
            let mut shown = self.shows(&recipe.shows);
            let mut is_ended = child.try_wait().unwrap().is_some();
            while shown.is_err() && !is_ended && began.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(50));
                is_ended = child.try_wait().unwrap().is_some();
                shown = self.shows(&recipe.shows);
            }
            signal(&child, "-INT");
            let until = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if until.elapsed() > Duration::from_secs(30) {
                    signal(&child, "-KILL");
                    result = result.and(Err(String::from("Ctrl-C does not end it")));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        result.and_then(|()| self.shows(&recipe.shows)).map_err(|why| {
            let said = self.said("recipe");
            let tail: String = said.chars().rev().take(1500).collect::<Vec<_>>().into_iter().rev().collect();
            format!("{why}\nit said: {tail}")
        })
    }
}

/// To the whole group of a shell.
fn signal(child: &Child, signal: &str) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
}

/// Whole pictures of 4:2:0 in a y4m file.
fn pictures(bytes: &[u8]) -> usize {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return 0 };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let side = |letter: char| {
        let word = head.split(' ').find_map(|word| word.strip_prefix(letter));
        word.and_then(|word| word.parse::<usize>().ok()).unwrap_or(0)
    };
    let size = 6 + side('W') * side('H') * 3 / 2;
    bytes[end + 1..].chunks(size).filter(|frame| frame.len() == size && frame.starts_with(b"FRAME\n")).count()
}

/// Each recipe of a paper, with all that went wrong.
fn cook(paper: &str) {
    let has_ffplay = Command::new("ffplay").arg("-version").output().is_ok();
    if std::env::var_os("ZEROBUFFER_COMMAND").is_none() || !has_ffplay {
        assert!(std::env::var_os("ZEROBUFFER_GSTREAMER").is_none(), "the command and ffplay are needed here");
        println!("skipped: `cargo xtask test gstreamer` has the command, and installs ffmpeg");
        return;
    }
    let mut faults = Vec::new();
    for line in lines(paper) {
        if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.line == line) {
            let began = Instant::now();
            let result = Kitchen::open().cook(recipe);
            println!("{paper}, {:.1} s: {line}", began.elapsed().as_secs_f64());
            if let Err(why) = result {
                faults.push(format!("{paper}: {line}\n{why}"));
            }
        } else if !ELSEWHERE.iter().any(|(start, _)| format!("{line} ").starts_with(start)) {
            faults.push(format!("{paper}: {line}\nno test runs it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn of_the_readme() {
    cook("README.md");
    cook("docs/command.md");
}

#[test]
fn of_the_page_on_video() {
    cook("docs/video.md");
}

#[test]
fn of_the_page_on_gstreamer() {
    cook("docs/gstreamer.md");
}

#[test]
fn of_the_pages_on_the_viewer_and_on_recordings() {
    cook("docs/viewer.md");
    cook("docs/recording.md");
}

#[test]
fn of_the_pages_on_other_machines() {
    cook("docs/between-machines.md");
    cook("docs/bridge.md");
}

#[test]
fn of_the_page_on_broadcasts() {
    cook("docs/broadcast.md");
}
