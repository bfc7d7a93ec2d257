//! The shell lines of the pages that need the command alone. Each runs as it stands, in namespaces:
//! with a network and a `/dev/shm` of its own, of a container's 64 MiB.
// Namespaces are those of Linux.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::common::papers::check_lines;
use crate::common::{missing, start_command};
use crate::tutorial::example;

struct Run {
    line: &'static str,
    /// A shell script, in which `LINE` stands for the line. It fails unless the line does its work.
    script: &'static str,
}

const fn run(line: &'static str, script: &'static str) -> Run {
    Run { line, script }
}

const RUNS: &[Run] = &[
    // docs/containers.md
    run(
        "zerobuffer doctor --ring 200MiB",
        "if LINE > told; then exit 1; fi; grep PROBLEM told; mount -o remount,size=400m /dev/shm; LINE",
    ),
    // docs/users.md
    run(
        "zerobuffer clean --user 1000",
        "leave 1000; leave 1001; LINE > told; grep left-1000 told; ! grep left-1001 told; ls /dev/shm/left-1000",
    ),
    run(
        "zerobuffer clean --all-users",
        "leave 1000; leave 1001; LINE > told; grep left-1000 told; grep left-1001 told; ls /dev/shm/left-1001",
    ),
    // docs/restarts.md
    run(
        "zerobuffer recv cam --follow --output all.y4m",
        "LINE & film | zerobuffer send cam --timeout 20; film | zerobuffer send cam --timeout 20
        until [ \"$(grep -ac FRAME all.y4m)\" = 6 ]; do sleep 0.05; done; kill -INT $!; wait $! || true",
    ),
    run("zerobuffer clean", "leave 0; LINE > told; grep left-0 told; ls /dev/shm/left-0"),
    run("zerobuffer clean --yes", "leave 0; LINE; ! ls /dev/shm/left-0"),
    // docs/tutorial.md
    run("zerobuffer doctor --ring 16MiB", "nobody LINE"),
    run(
        "zerobuffer recv screen --ring 8MiB --format null",
        "nobody LINE 2> told & nobody ./detector & nobody ./camera 15; wait; grep '15 frames' told",
    ),
    run(
        "zerobuffer recv screen --ring 8MiB | ffplay -loglevel error -f rawvideo -pixel_format bgr24 -video_size 640x480 -i -",
        "(nobody LINE) & screen=$!; nobody ./detector & nobody ./camera 15; wait $screen",
    ),
    run(
        "zerobuffer view",
        "nobody LINE > told 2>&1 & until curl -sf -o page http://127.0.0.1:8080/; do sleep 0.05; done
        grep -i '<html' page; grep http://127.0.0.1:8080/ told",
    ),
    run(
        "curl --fail -o screen.png http://127.0.0.1:8080/snapshot/screen.png",
        "stream 90; nobody zerobuffer view &
        until LINE && head -c 8 screen.png | grep -a PNG; do sleep 0.05; done",
    ),
    run(
        "zerobuffer ls",
        "stream 60; until LINE > told && grep camera told && grep screen told; do sleep 0.05; done",
    ),
    run("zerobuffer inspect screen", "stream 60; LINE"),
];

/// Lines that are not run here, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo ", "the gate builds it; figures need a machine that does nothing else"),
    ("python3 -m venv ", "the step python builds and installs the package"),
    (". env/bin/activate ", "it belongs to the line before it"),
    ("pip install . ", "the step python builds and installs the package"),
    ("pip install zerobuffer-ipc ", "version 2 is not published yet"),
    ("export ZEROBUFFER_LOG_LEVEL=DEBUG ", "it belongs to the line after it"),
    ("python your_app.py ", "a program of the reader's own"),
    ("zerobuffer bench ", "nine seconds; its own tests run it with less time"),
    ("zerobuffer demo ", "its own tests run it"),
    ("zerobuffer top ", "its own tests have a terminal"),
];

const PAGES: &[&str] = &[
    "docs/containers.md",
    "docs/users.md",
    "docs/restarts.md",
    "docs/latency.md",
    "docs/tutorial.md",
    "docs/python.md",
    "python/README.md",
    "PERFORMANCE.md",
];

/// What stands before each script: where it runs, and what it may call.
const BEFORE: &str = r#"
    mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm
    mkdir -p /tmp/zerobuffer
    mount -t tmpfs -o mode=1777 tmpfs /tmp/zerobuffer
    ip link set lo up
    PATH=$PWD:$PATH SDL_VIDEODRIVER=dummy SDL_AUDIODRIVER=dummy
    export PATH SDL_VIDEODRIVER SDL_AUDIODRIVER
    as() { user=$1; shift; setpriv --reuid=$user --regid=$user --clear-groups "$@"; }
    nobody() { as 65534 "$@"; }
    # A buffer whose reader was killed.
    leave() {
        setpriv --reuid=$1 --regid=$1 --clear-groups zerobuffer recv left-$1 --ring 64KiB --format null 2>/dev/null &
        until zerobuffer inspect left-$1 > found 2>&1; do sleep 0.02; done
        kill -KILL $!
        wait $! || true
    }
    # Three tiny pictures.
    film() { printf 'YUV4MPEG2 W2 H2 F25:1 C420jpeg\n'; for n in 1 2 3; do printf 'FRAME\nabcde\n'; done; }
    # Camera, detector and screen, which are under way.
    stream() {
        nobody zerobuffer recv screen --ring 8MiB --format null & nobody ./detector & nobody ./camera $1 &
        until zerobuffer inspect screen > found 2>&1; do sleep 0.05; done
    }
"#;

#[test]
fn the_lines_of_the_pages_do_what_the_pages_say() {
    let allowed = Command::new("unshare").args(["-m", "-n", "-p", "-f", "true"]).output();
    if !rustix::process::geteuid().is_root() || !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: only root can make namespaces, and not everywhere");
        return;
    }
    for (program, option) in [("ip", "-V"), ("curl", "-V"), ("ffplay", "-version")] {
        if Command::new(program).arg(option).output().is_err() {
            return missing(&format!("the lines of the pages need {program}"));
        }
    }
    for page in PAGES {
        check_lines(page, ELSEWHERE, |line| {
            let Some(run) = RUNS.iter().find(|run| run.line == line) else { return false };
            cook(page, run);
            true
        });
    }
}

fn cook(page: &str, run: &Run) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    crate::common::copy_to(&place("zerobuffer"));
    for program in ["camera", "detector"] {
        let copied = Command::new("cp").arg(example(program)).arg(folder.path()).status();
        assert!(copied.unwrap().success(), "{program}");
    }
    // Without this option it waits for somebody who closes its window.
    fs::write(place("ffplay"), "#!/bin/sh\nexec /usr/bin/ffplay -autoexit \"$@\"\n").unwrap();
    fs::set_permissions(place("ffplay"), Permissions::from_mode(0o755)).unwrap();
    let script = format!("set -e\n{BEFORE}\n{}", run.script.replace("LINE", run.line));
    let began = std::time::Instant::now();
    // What a script leaves running ends with its namespace of processes.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]);
    command.args(["sh", "-c", &script]).current_dir(folder.path());
    let done = start_command(command.stdin(Stdio::null()).stdout(Stdio::piped())).finish();
    println!("{page}, {:.1} s: {}", began.elapsed().as_secs_f64(), run.line);
    assert_eq!(done.code, Some(0), "{page}: {}\n{}{}", run.line, done.text(), done.stderr);
}
