//! The tutorial's programs in Rust, run as its text says: in a container's 64 MiB, by a user
//! without rights.
// Namespaces of Linux.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::start_command;

const PICTURE: usize = 640 * 480 * 3;
const COUNT: usize = 15;
/// A square of 80 by 80 has so many pixels at its edge.
const MARKED: usize = 4 * 79;

/// A program of the tutorial: its text on the page, and the example that was compiled.
pub(crate) fn example(name: &str) -> std::path::PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    let source = fs::read_to_string(source).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tutorial.md");
    if let Ok(page) = fs::read_to_string(page) {
        let code = page.split(&format!("<!-- file: {name}.rs -->\n")).nth(1).unwrap();
        let code = code.split("```").nth(1).unwrap().split_once('\n').unwrap().1;
        assert!(source.ends_with(code), "examples/{name}.rs and docs/tutorial.md differ");
    }
    // Beside the folder of this test's own program.
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("examples").join(name)
}

#[test]
fn camera_detector_and_screen_in_a_container() {
    const SCRIPT: &str = "mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm && cd \"$0\" && \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
            ./zerobuffer recv screen --ring 8MiB --format raw --output pictures --json > screen.json &
            ./detector > detector.txt & ./camera 15 && wait
            ./zerobuffer recv camera --ring 1MiB --format null &
            until ./zerobuffer inspect camera > found.txt 2>&1; do sleep 0.05; done
            ./detector 2> refused.txt || echo $? >> refused.txt
            kill -TERM $! && wait $! || true'";
    let (camera, detector) = (example("camera"), example("detector"));
    let allowed = Command::new("unshare").args(["-m", "true"]).output();
    if !rustix::process::geteuid().is_root() || !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: only root can make a namespace of mounts, and not everywhere");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    crate::common::copy_to(&folder.path().join("zerobuffer"));
    for program in [&camera, &detector] {
        let copied = Command::new("cp").arg(program).arg(folder.path()).status();
        assert!(copied.unwrap().success(), "{}", program.display());
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", SCRIPT]).arg(folder.path());
    start_command(command.stdin(Stdio::null()).stdout(Stdio::piped())).finish().ok();
    let text = |file| fs::read_to_string(folder.path().join(file)).unwrap();
    assert_eq!(text("detector.txt"), format!("sent {COUNT} pictures on\n"));
    // A second detector says in words why it cannot start.
    let refused = text("refused.txt");
    assert!(refused.starts_with("detector: buffer 'camera' already has a reader"), "{refused}");
    assert!(refused.ends_with("\n1\n"), "{refused}");
    let report: serde_json::Value = serde_json::from_str(&text("screen.json")).unwrap();
    assert_eq!(report["frames"], COUNT, "{report}");
    let pictures = fs::read(folder.path().join("pictures")).unwrap();
    assert_eq!(pictures.len(), COUNT * PICTURE);
    for picture in pictures.chunks_exact(PICTURE) {
        assert_eq!(picture.chunks_exact(3).filter(|pixel| *pixel == [255; 3]).count(), MARKED);
    }
}
