//! The shell lines of docs/bridge.md, each as it stands. Two machines are two namespaces, each with
//! a `/dev/shm` of its own. They have a network together, in which the names of the page lead to
//! this machine.
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::packaging::{Folder, may_mount};

#[path = "../../../zerobuffer-cli/tests/common/papers.rs"]
mod papers;

/// Lines that belong together, and a shell script in which `LINE1` and so on stand for them.
struct Scene {
    lines: &'static [&'static str],
    script: &'static str,
}

const SCENES: &[Scene] = &[
    Scene {
        lines: &[
            "zerobuffer-bridge send cam --connect viewer.example:7447",
            "zerobuffer-bridge recv cam --listen 0.0.0.0:7447",
            "zerobuffer recv cam | ffplay -f yuv4mpegpipe -",
            "zerobuffer-bridge ls --connect viewer.example:7447",
        ],
        script: r#"
            machine "LINE1 & camera" &
            machine "LINE2 & LINE3" &
            until grep -aq FRAME shown 2>/dev/null; do sleep 0.1; done
            LINE4 > listed
            grep cam listed
        "#,
    },
    Scene {
        lines: &[
            "zerobuffer-bridge offer calc --listen 0.0.0.0:7447",
            "zerobuffer-bridge reach calc --connect server.example:7447",
            "echo hello | zerobuffer call calc",
        ],
        script: r#"
            machine "zerobuffer serve calc --exec 'tr a-z A-Z' & LINE1" &
            machine "LINE2 & until LINE3 > answer; do sleep 0.2; done; touch answered" &
            until [ -e answered ]; do sleep 0.1; done
            grep HELLO answer
        "#,
    },
    Scene {
        lines: &[
            "sh certificates.sh recv.example camera",
            "zerobuffer-bridge recv 'lab/**' --config recv.json5",
            "zerobuffer-bridge send cam=lab/cam --config send.json5",
        ],
        script: r#"
            LINE1
            machine "LINE3 & camera" &
            machine "LINE2 & zerobuffer recv lab.cam --frames 3 --format null && touch received" &
            until [ -e received ]; do sleep 0.1; done
        "#,
    },
];

/// Lines that are not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo install ", "the step builds it"),
    ("gst-launch-1.0 ", "the step gstreamer runs it"),
    ("install ", "systemd is not the first process here; the tests of the unit file do what it says"),
    ("mkdir ", "it belongs to the line before it"),
    ("systemctl ", "systemd is not the first process here"),
    ("podman ", "no engine for containers here; the tests of the recipe do what it says"),
];

/// What stands before each script.
const BEFORE: &str = r#"
    set -e
    PATH=$PWD:$PATH
    for host in viewer server recv; do echo "127.0.0.1 $host.example"; done > hosts
    mount --bind hosts /etc/hosts
    ip link set lo up
    mkdir -p /tmp/zerobuffer
    printf 'YUV4MPEG2 W2 H2 F25:1 C420jpeg\n' > film.y4m
    for n in 1 2 3; do printf 'FRAME\nabcde\n'; done >> film.y4m
    machine() {
        unshare --mount sh -c "
            mount -t tmpfs tmpfs /dev/shm
            mount -t tmpfs -o mode=1777 tmpfs /tmp/zerobuffer
            camera() { zerobuffer send cam --timeout 60 --realtime --loop --input film.y4m; }
            $1"
    }
"#;

#[test]
fn the_lines_of_the_page_do_what_it_says() {
    let Some(command) = std::env::var_os("ZEROBUFFER_COMMAND") else {
        return println!("skipped: `cargo xtask test bridge` has the command");
    };
    if !may_mount() {
        return;
    }
    let ran = RefCell::new(Vec::new());
    papers::check_lines("docs/bridge.md", ELSEWHERE, |line| {
        let Some(scene) = SCENES.iter().position(|scene| scene.lines.contains(&line)) else { return false };
        if !ran.borrow().contains(&scene) {
            ran.borrow_mut().push(scene);
            play(&SCENES[scene], Path::new(&command));
        }
        true
    });
    assert_eq!(ran.borrow().len(), SCENES.len(), "the page does not have all of these lines any more");
}

fn play(scene: &Scene, command: &Path) {
    let folder = Folder::new("pages");
    folder.put(Path::new(env!("CARGO_BIN_EXE_zerobuffer-bridge")), "zerobuffer-bridge");
    folder.put(command, "zerobuffer");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tls");
    for file in fs::read_dir(examples).unwrap().flatten() {
        folder.put(&file.path(), file.file_name().to_str().unwrap());
    }
    // There is no screen: what would be shown is kept.
    fs::write(folder.0.join("ffplay"), "#!/bin/sh\nexec cat > shown\n").unwrap();
    let made = Command::new("chmod").args(["755", "ffplay"]).current_dir(&folder.0).status();
    assert!(made.unwrap().success());
    let mut script = format!("{BEFORE}\n{}", scene.script);
    for (number, line) in (1..).zip(scene.lines) {
        script = script.replace(&format!("LINE{number}"), line);
    }
    let mut shell = Command::new("timeout");
    shell.args(["120", "unshare", "--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]);
    let done = shell.args(["sh", "-c", &script]).current_dir(&folder.0).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{:?}: {}\n{said}", scene.lines, done.status);
}
