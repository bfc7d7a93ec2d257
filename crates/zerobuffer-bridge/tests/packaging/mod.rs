//! The unit file and the container recipe, run without systemd and without an engine for
//! containers. What they promise is there: the user, the folders that can be written to, the root,
//! and the namespaces.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use zerobuffer::{BufferConfig, Reader};

use super::common::{self, Bridge, check, name, next, port, wait_for, write, writer};

const SIZE: usize = 100_000;

fn packaging(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file)).unwrap()
}

/// A folder for a test, which every user can look into; removed with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(what: &str) -> Folder {
        let folder = std::env::temp_dir().join(name(what));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Folder(folder)
    }

    /// Copies a file to this place below it.
    pub(crate) fn put(&self, file: &Path, place: &str) {
        let target = self.0.join(place.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether this user may make mount namespaces, which `cargo xtask test bridge` requires.
pub(crate) fn may_mount() -> bool {
    let may =
        Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|end| end.status.success());
    assert!(may || std::env::var_os("ZEROBUFFER_BRIDGE_NAMESPACES").is_none(), "no mount namespaces here");
    if !may {
        println!("skipped: this user may not make mount namespaces");
    }
    may
}

/// A bridge of this machine sends to one that was started as `recv` says.
fn carries_a_stream(recv: &Bridge, to: &str, address: &str) {
    // Its users are others than that of the bridge.
    let config = BufferConfig::ring(1 << 20).metadata(4096).mode(0o666);
    let mut far = Reader::create(to, config).unwrap();
    let from = name("from");
    let send = Bridge::start(&["send", &format!("{from}=cam"), "--connect", address, "--ring", "1MiB"]);
    let mut source = writer(&from);
    for number in 1..=20 {
        write(&mut source, SIZE, number);
        assert_eq!(check(&next(&mut far)).0, number, "{}", recv.said());
    }
    send.stop();
}

#[test]
fn systemd_finds_no_fault_with_the_unit_file() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        return println!("skipped: systemd-analyze is not here");
    };
    println!("{}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
    let folder = Folder::new("unit");
    let verify = |text: &str| {
        // It looks whether the program is there.
        let text = text.replace("/usr/bin/zerobuffer-bridge", env!("CARGO_BIN_EXE_zerobuffer-bridge"));
        let unit = folder.0.join("zerobuffer-bridge@cams.service");
        fs::write(&unit, text).unwrap();
        let judged = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output().unwrap();
        (judged.status.success(), String::from_utf8_lossy(&judged.stderr).into_owned())
    };
    let unit = packaging("zerobuffer-bridge@.service");
    assert_eq!(verify(&unit), (true, String::new()));
    assert!(verify(&unit.replace("TimeoutStopSec", "TimeStopSec")).1.contains("TimeStopSec"));
}

#[test]
fn a_bridge_works_under_what_the_unit_file_allows_it() {
    if !may_mount() {
        return;
    }
    let unit = packaging("zerobuffer-bridge@.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    assert_eq!(value("ProtectSystem"), "strict");
    assert_eq!((value("ProtectHome").as_str(), value("NoNewPrivileges").as_str()), ("yes", "yes"));
    assert_eq!(value("SuccessExitStatus"), "143");
    let writable = value("ReadWritePaths");
    let line = value("ExecStart");
    let (program, words) = line.split_once(' ').unwrap();
    assert_eq!((program, words), ("/usr/bin/zerobuffer-bridge", "$BRIDGE"));
    // The file of options, which systemd reads before it drops rights.
    let (to, address) = (name("to"), format!("127.0.0.1:{}", port()));
    let folder = Folder::new("service");
    folder.put(Path::new(env!("CARGO_BIN_EXE_zerobuffer-bridge")), program);
    let options = format!("BRIDGE=recv cam={to} --listen {address}\n");
    let (variable, options) = options.trim_end().split_once('=').unwrap();
    // As strict does it: all is read-only but what is named. Nobody's home is there.
    let binds: String = writable.split(' ').map(|path| format!("mount --rbind {path} {path}\n")).collect();
    let script = format!(
        "set -ef
        mount --make-rprivate /
        {binds}
        mount -o remount,bind,ro /
        for home in /home /root /run/user; do [ ! -d $home ] || mount -t tmpfs tmpfs $home; done
        ! touch {}/written 2>/dev/null
        exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs {}{program} ${variable}",
        env!("CARGO_TARGET_TMPDIR"),
        folder.path()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).env(variable, options);
    let recv = Bridge::start_by(&mut command, &[]);
    carries_a_stream(&recv, &to, &address);
    // 143, which the unit takes for a good end.
    recv.stop();
}

#[test]
fn a_bridge_works_in_the_root_and_the_namespaces_of_the_container() {
    if !may_mount() {
        return;
    }
    let recipe = packaging("Containerfile");
    let after = |what: &str| recipe.lines().filter_map(|line| line.strip_prefix(what)).next_back().unwrap();
    // What is built is what is copied, and what is copied is what is run.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let built = fs::read_to_string(&manifest).unwrap();
    let version = built.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert_eq!(after("FROM rust:"), format!("{}-slim AS build", version.trim_matches('"')));
    assert!(
        after("RUN cargo build --release --locked --manifest-path ")
            .ends_with("zerobuffer-bridge/Cargo.toml")
    );
    let copied = after("COPY --from=build /src/crates/zerobuffer-bridge/target/release/zerobuffer-bridge ");
    let program = after("ENTRYPOINT [\"").trim_end_matches("\"]");
    assert_eq!(program, format!("{copied}zerobuffer-bridge"));
    // A root with the program and the libraries of the system that it needs, and nothing else.
    let folder = Folder::new("container");
    let bridge = Path::new(env!("CARGO_BIN_EXE_zerobuffer-bridge"));
    folder.put(bridge, program);
    let needs = Command::new("ldd").arg(bridge).output().unwrap();
    for word in
        String::from_utf8(needs.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/'))
    {
        folder.put(Path::new(word), word);
    }
    for place in ["dev/shm", "proc", "tmp/zerobuffer"] {
        fs::create_dir_all(folder.0.join(place)).unwrap();
    }
    fs::create_dir_all("/tmp/zerobuffer").unwrap();
    // podman run --network host --ipc host -v /tmp/zerobuffer:/tmp/zerobuffer
    let script = format!(
        "set -e
        cd {}
        mount --make-rprivate /
        mount --bind /dev/shm dev/shm
        mount --bind /tmp/zerobuffer tmp/zerobuffer
        mount -t proc proc proc
        exec chroot . {program} \"$@\"",
        folder.path()
    );
    let (to, address) = (name("to"), format!("127.0.0.1:{}", port()));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--uts", "--fork", "--kill-child", "sh", "-c", &script, "sh"]);
    let recv = Bridge::start_by(
        &mut command,
        &["recv", &format!("cam={to}"), "--listen", &address, "--owner", "any"],
    );
    carries_a_stream(&recv, &to, &address);
    // It is the first process of its namespace, and gets the signal itself.
    let children = format!("/proc/{0}/task/{0}/children", recv.pid());
    let first = || fs::read_to_string(&children).unwrap_or_default();
    wait_for("its process", || !first().trim().is_empty(), || recv.said());
    common::signal(first().trim().parse().unwrap(), "TERM");
    let (code, said) = recv.end();
    assert_eq!(code, Some(143), "{said}");
}
