//! The shell lines of the pages on C, as they stand: with another folder in place of
//! `/opt/zerobuffer`, and the page's own program.

use crate::build::{dist, name, run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "../../../zerobuffer-cli/tests/common/papers.rs"]
mod papers;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the step has done before these tests.
const DIST: &str = "cargo xtask c-dist /opt/zerobuffer";

/// A shell runs the lines of the page, one after the other, in this folder; then `after`.
fn type_lines(page: &str, dist: &Path, folder: &Path, after: &str) -> String {
    let mut script = String::from("set -e\n");
    papers::check_lines(page, &[], |line| {
        // Another call would empty what the other tests use.
        if line != DIST {
            script.push_str(&line.replace("/opt/zerobuffer", &dist.display().to_string()));
            script.push('\n');
        }
        true
    });
    script.push_str(after);
    let mut shell = Command::new("sh");
    run(shell.arg("-c").arg(script).current_dir(folder))
}

fn folder(what: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(what);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_lines_of_the_page_on_c_build_a_program() {
    let Some(dist) = dist() else { return };
    let folder = folder("page-c");
    // The page's `program.c` is the reader's own. It uses the library and needs no other file.
    let program = "#include <zerobuffer.h>\n#include <stdio.h>\n\
                   int main(void) { puts(zb_version()); return zb_abi_version() != ZB_ABI_VERSION; }\n";
    fs::write(folder.join("program.c"), program).unwrap();
    let said = type_lines("docs/c.md", &dist, &folder, "./a.out");
    assert!(said.starts_with(char::is_numeric), "{said}");
    // The page's lines for CMake, in a project that has the program.
    let page = fs::read_to_string(root().join("docs/c.md")).unwrap();
    let lines = page.split("```cmake\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let head = "cmake_minimum_required(VERSION 3.13)\nproject(page C)\nadd_executable(program program.c)\n";
    fs::write(folder.join("CMakeLists.txt"), format!("{head}{lines}")).unwrap();
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", dist.display());
    run(Command::new("cmake").arg(prefix).args(["-S", ".", "-B", "built"]).current_dir(&folder));
    run(Command::new("cmake").args(["--build", "built"]).current_dir(&folder));
    assert_eq!(run(&mut Command::new(folder.join("built/program"))), said);
}

#[test]
fn the_commands_of_the_examples_build_them() {
    let Some(dist) = dist() else { return };
    let folder = folder("page-examples");
    for part in ["examples", "bindings"] {
        std::os::unix::fs::symlink(root().canonicalize().unwrap().join(part), folder.join(part)).unwrap();
    }
    let readme = fs::read_to_string(root().join("examples/README.md")).unwrap();
    let commands = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let compiles = |line: &&str| ["gcc ", "g++ ", "mcs "].iter().any(|compiler| line.starts_with(compiler));
    let has_opencv = Command::new("pkg-config").args(["--exists", "opencv4"]).status().unwrap().success();
    let mut builds = Vec::new();
    for command in commands.filter(compiles) {
        if command.contains("opencv4") && !has_opencv {
            println!("skipped: {command}: OpenCV is not there (libopencv-dev)");
            continue;
        }
        // The compiler's part. The tests of the examples run the programs.
        builds.push(command.split(" && ").next().unwrap());
    }
    assert!(builds.len() >= 4, "{builds:?}");
    // The display and the camera run, too. Another one has its name.
    let c: Vec<&str> = builds.iter().copied().filter(|line| line.contains("examples/c/")).collect();
    let stem = name("page");
    let (all, c) = (builds.join("\n"), c.join("\n"));
    let after = format!("{all}\n{c}\n./display {stem} & ./camera {stem}\nwait $!\n");
    type_lines("examples/README.md", &dist, &folder, &after);
}
