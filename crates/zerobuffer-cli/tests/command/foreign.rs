//! Other programs' files under the names of buffers: whatever they are, no command touches them.
//!
//! All of it runs on mounts of its own, so `clean --yes` meets nothing else. Files, links, pipes
//! and devices of thirty and more kinds take the names that a buffer would have. All of them
//! survive byte for byte.
// Files are those of Linux.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::{
    FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink,
};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use zerobuffer::{BufferConfig, Reader};

/// Set in the process that runs on mounts of its own.
const INSIDE: &str = "ZEROBUFFER_TEST_FOREIGN_INSIDE";
/// An ordinary user of every Linux system.
const NOBODY: u32 = 65_534;

#[test]
fn foreign_files_survive() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let mounts = "mount -t tmpfs -o mode=1777,size=256m tmpfs /dev/shm && mount -t tmpfs -o mode=1777 tmpfs /tmp && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", mounts])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "foreign::foreign_files_survive", "--nocapture"])
        .env(INSIDE, "1")
        .env_remove("TMPDIR")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("kinds survived"), "{text}");
        }
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            // Of the two programs, not of the test.
            let refused = ["unshare:", "mount:", "must be superuser"].iter().any(|word| error.contains(word));
            assert!(
                refused && !error.contains("panicked"),
                "{}{error}",
                String::from_utf8_lossy(&output.stdout)
            );
            skipped(&format!("no mounts of its own: {}", error.trim()));
        }
        Err(error) => skipped(&format!("no unshare: {error}")),
    }
}

fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: foreign_files_survive: {reason}");
}

/// What makes one kind of object in the place of the path.
type Make = fn(&Path);

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A whole buffer as another implementation would leave it, with a reader that is dead.
fn buffer(sizes: [u64; 2], reader: u64) -> Vec<u8> {
    let mut bytes = vec![0; 128 + 64 + 1024];
    let [metadata, payload] = sizes;
    for (offset, value) in
        [(0, 128 | 1 << 32), (8, metadata), (16, metadata), (32, payload), (40, payload), (88, reader)]
    {
        bytes[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    bytes
}

const DEAD: u64 = 0x7fff_ffff;

/// A semaphore as glibc makes it.
fn semaphore() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[8] = 128;
    bytes
}

/// The path of one of the name's semaphores.
fn semaphore_of(path: &Path) -> PathBuf {
    path.with_file_name(format!("sem.sem-w-{}", path.file_name().unwrap().to_string_lossy()))
}

fn numbers<T: Copy, const N: usize>(values: impl Iterator<Item = T>, bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.flat_map(bytes).collect()
}

/// Objects at the place of the segment. None is a buffer.
const KINDS: &[(&str, Make)] = &[
    ("empty", |path| write(path, [])),
    ("one byte", |path| write(path, [0])),
    ("127 zeros", |path| write(path, [0; 127])),
    ("128 zeros", |path| write(path, [0; 128])),
    ("an image of zeros", |path| write(path, vec![0; 921_600])),
    ("sparse", |path| File::create(path).unwrap().set_len(4 << 20).unwrap()),
    ("sparse with an end", |path| {
        let file = File::create(path).unwrap();
        file.write_all_at(b"the end", 2 << 20).unwrap();
    }),
    ("text", |path| write(path, "a letter")),
    ("ones", |path| write(path, [255; 4096])),
    ("a PNG image", |path| write(path, [b"\x89PNG\r\n\x1a\n".as_slice(), &[0; 4096]].concat())),
    ("a JPEG image", |path| write(path, [[0xff, 0xd8, 0xff, 0xe0].as_slice(), &[0; 4096]].concat())),
    ("np.arange(512)", |path| write(path, numbers(0..512, i64::to_le_bytes))),
    ("np.linspace(0, 1)", |path| {
        write(path, numbers((0..512).map(|n| f64::from(n) / 511.0), f64::to_le_bytes));
    }),
    ("np.zeros with one one", |path| write(path, [vec![0; 4088], vec![1; 8]].concat())),
    ("counters from 0", |path| write(path, numbers(0..1024, u32::to_le_bytes))),
    ("counters from 128", |path| write(path, numbers(128..1152, u32::to_le_bytes))),
    ("size word and version, then ones", |path| {
        write(path, [&[128, 0, 0, 0, 1, 0, 0, 0], [255; 4088].as_slice()].concat());
    }),
    ("size word and version, then zeros", |path| {
        write(path, [&[128, 0, 0, 0, 1, 0, 0, 0], [0; 4088].as_slice()].concat());
    }),
    ("sizes beyond the file", |path| write(path, buffer([64, 2048], DEAD))),
    ("sizes that overflow", |path| write(path, buffer([64, u64::MAX - 63], DEAD))),
    ("a byte short", |path| write(path, &buffer([64, 1024], DEAD)[..128 + 64 + 1023])),
    ("another version", |path| {
        let mut bytes = buffer([64, 1024], DEAD);
        bytes[4] = 2;
        write(path, bytes);
    }),
    ("a copy of a buffer", |path| write(path, buffer([64, 1024], DEAD))),
    ("a copy of a closed buffer", |path| write(path, buffer([64, 1024], 0))),
    ("a sticky copy of a buffer", |path| {
        write(path, buffer([64, 1024], DEAD));
        mode(path, 0o1600);
    }),
    ("sticky zeros", |path| {
        write(path, [0; 4096]);
        mode(path, 0o1666);
    }),
    ("a sticky text", |path| {
        write(path, [b'x'; 4096]);
        mode(path, 0o1600);
    }),
    ("unreadable", |path| {
        write(path, [0; 4096]);
        mode(path, 0);
    }),
    ("read only", |path| {
        write(path, [0; 4096]);
        mode(path, 0o444);
    }),
    ("set-uid", |path| {
        write(path, [0; 4096]);
        mode(path, 0o4755);
    }),
    ("another user's zeros", |path| {
        write(path, [0; 4096]);
        chown(path, Some(NOBODY), None).unwrap();
    }),
    ("zeros beside another user's semaphore", |path| {
        write(path, [0; 4096]);
        write(&semaphore_of(path), semaphore());
        chown(semaphore_of(path), Some(NOBODY), None).unwrap();
    }),
    ("a copy beside what is no semaphore", |path| {
        write(path, buffer([64, 1024], DEAD));
        write(&semaphore_of(path), [0; 32]);
    }),
    ("a copy beside a link to a semaphore", |path| {
        write(path, buffer([64, 1024], DEAD));
        let other = path.with_file_name("sem.another");
        write(&other, semaphore());
        symlink(&other, semaphore_of(path)).unwrap();
    }),
    ("a copy beside a second name of a semaphore", |path| {
        write(path, buffer([64, 1024], DEAD));
        let other = path.with_file_name("sem.one-with-two-names");
        write(&other, semaphore());
        fs::hard_link(&other, semaphore_of(path)).unwrap();
    }),
    ("zeros beside another user's lock file", |path| {
        write(path, [0; 4096]);
        fs::create_dir_all("/tmp/zerobuffer/locks").unwrap();
        let lock = format!("/tmp/zerobuffer/{}.lock", path.file_name().unwrap().to_string_lossy());
        write(Path::new(&lock), []);
        chown(&lock, Some(NOBODY), None).unwrap();
    }),
    ("a file with two names", |path| {
        write(path, [0; 4096]);
        fs::hard_link(path, "/dev/shm/second name").unwrap();
    }),
    ("a semaphore", |path| write(path, semaphore())),
    ("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).unwrap()),
    ("a link to a file", |path| {
        write(Path::new("/tmp/target"), [0; 4096]);
        symlink("/tmp/target", path).unwrap();
    }),
    ("a link to nothing", |path| symlink("/tmp/nothing", path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a folder with a file", |path| {
        fs::create_dir(path).unwrap();
        write(&path.join("inside"), "inside");
    }),
    ("/dev/null", |path| {
        mknodat(CWD, path, FileType::CharacterDevice, Mode::from(0o666), makedev(1, 3)).unwrap();
    }),
    ("a block device without a driver", |path| {
        mknodat(CWD, path, FileType::BlockDevice, Mode::from(0o660), makedev(240, 7)).unwrap();
    }),
    ("a socket", |path| drop(UnixListener::bind(path).unwrap())),
];

/// Objects at the place of a semaphore, without a segment: the name is free but for this.
const BESIDE: &[(&str, Make)] = &[
    ("zeros", |path| write(path, [0; 32])),
    ("a text", |path| write(path, "a letter")),
    ("another user's semaphore", |path| {
        write(path, semaphore());
        chown(path, Some(NOBODY), None).unwrap();
    }),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::from(0o600), 0).unwrap()),
];

/// Everything that can be known of an object; its content as a hash.
fn state(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let content = if kind.is_file() {
        fs::read(path).unwrap()
    } else if kind.is_dir() {
        fs::read_dir(path)
            .unwrap()
            .flat_map(|entry| entry.unwrap().file_name().into_encoded_bytes())
            .collect()
    } else if kind.is_symlink() {
        fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()
    } else {
        assert!(kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device());
        Vec::new()
    };
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let (of, size) = ((meta.ino(), meta.mode(), meta.uid(), meta.nlink()), meta.len());
    format!("{of:?} {size} {times:?} {:x}", hasher.finish())
}

/// Every object that there is.
fn everything() -> BTreeMap<PathBuf, String> {
    let paths = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), state(&path))).collect()
}

#[track_caller]
fn unchanged(before: &BTreeMap<PathBuf, String>, what: &str) {
    let after = everything();
    let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(gone.is_empty() && new.is_empty(), "{what}: removed {gone:?}, made {new:?}");
    for (path, state) in before {
        assert_eq!(Some(state), after.get(path), "{what}: {} was changed", path.display());
    }
}

fn clean(arguments: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_zerobuffer")).arg("clean").args(arguments).output().unwrap();
    // Whether that is an error is not what is asked here.
    assert!(output.status.code().is_some(), "clean was killed: {:?}", output.status);
}

fn inside() {
    let mut names = Vec::new();
    for (index, (_, make)) in KINDS.iter().enumerate() {
        let name = format!("foreign-{index}");
        make(&Path::new("/dev/shm").join(&name));
        names.push(name);
    }
    for (index, (_, make)) in BESIDE.iter().enumerate() {
        let name = format!("beside-{index}");
        make(&semaphore_of(&Path::new("/dev/shm").join(&name)));
        names.push(name);
    }
    let before = everything();
    // Nothing is young any more.
    std::thread::sleep(Duration::from_millis(1200));
    clean(&["--yes"]);
    unchanged(&before, "clean --yes");
    for name in &names {
        clean(&[name, "--yes"]);
    }
    unchanged(&before, "clean NAME --yes");
    for name in &names {
        match Reader::create(name, BufferConfig::ring(64).metadata(0)) {
            Ok(_) => panic!("{name}: a reader has it ({})", kind_of(name)),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(name.as_str()), "{}: {text}", kind_of(name));
            }
        }
        unchanged(&before, kind_of(name));
    }
    println!("{} kinds survived", names.len());
}

fn kind_of(name: &str) -> &'static str {
    let all = |prefix, kinds: &'static [(&'static str, Make)]| {
        let index = name.strip_prefix(prefix)?.parse::<usize>().ok()?;
        kinds.get(index).map(|(what, _)| *what)
    };
    all("foreign-", KINDS).or_else(|| all("beside-", BESIDE)).unwrap_or("?")
}
