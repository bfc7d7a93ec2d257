//! Compiles the programs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// The library's folder; `None`: skipped.
pub(crate) fn dist() -> Option<PathBuf> {
    let dist = env::var_os("ZEROBUFFER_C_DIST").map(PathBuf::from);
    if dist.is_none() {
        println!("skipped: cargo xtask test c runs this");
    }
    dist
}

fn pkg_config(dist: &Path, words: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.args(words).arg("zerobuffer").env("PKG_CONFIG_PATH", dist.join("lib/pkgconfig"));
    run(&mut command).split_whitespace().map(str::to_owned).collect()
}

/// Several tests build the same program at a time, and start it while others build it.
static BUILDS: AtomicUsize = AtomicUsize::new(0);

/// A program from one of `tests/consumers`, by pkg-config.
pub(crate) fn program(dist: &Path, compiler: &str, source: &str, flags: &[&str], link: Link) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consumers");
    let label = source.replace('/', "-").replace("..", "");
    let name = format!("{label}-{compiler}-{}-{link:?}", flags.concat().replace(['=', ',', '/'], "-"));
    let build = BUILDS.fetch_add(1, Ordering::Relaxed);
    let fresh = format!("{name}.{}-{build}", std::process::id());
    let [output, fresh] = [name, fresh].map(|name| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let mut command = Command::new(compiler);
    let (libraries, flags): (Vec<&str>, Vec<&str>) =
        flags.iter().copied().partition(|flag| flag.starts_with("-l"));
    command.args(STRICT).args(flags).arg(folder.join(source)).arg("-o").arg(&fresh).args(libraries);
    command.args(pkg_config(dist, &["--cflags"]));
    match link {
        Link::Shared => {
            command.args(pkg_config(dist, &["--libs"]));
            command.arg(format!("-Wl,-rpath,{}", dist.join("lib").display()));
        }
        Link::Static => {
            for word in pkg_config(dist, &["--libs", "--static"]) {
                if word == "-lzerobuffer" {
                    command.args(["-Wl,-Bstatic", "-lzerobuffer", "-Wl,-Bdynamic"]);
                } else {
                    command.arg(word);
                }
            }
        }
    }
    run(&mut command);
    fs::rename(fresh, &output).unwrap();
    output
}

/// Runs a command, which has to succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{errors}", output.status);
    text
}

/// A name that no other run of a test has.
pub(crate) fn name(what: &str) -> String {
    let mark = env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}zbc-{what}-{}", std::process::id())
}
