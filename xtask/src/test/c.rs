//! The step that builds the C library as distributions take it, and programs with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::{c_abi, c_dist, csharp, install, python, tools, windows};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(15);
/// For the examples with OpenCV, in the parts that Debian has apart.
const OPENCV: &str = "-isystem/usr/include/opencv4 -lopencv_imgproc -lopencv_core";

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::C_CONSUMERS)?;
    let dist = c_dist::build(project)?;
    c_abi::check(project)?;
    run(&mut project.cargo("build -p zerobuffer-cli --bin zerobuffer"))?;
    run(&mut project.cargo("build --release --locked -p zerobuffer-c --example speed"))?;
    let speed = project.cache.with_file_name("release").join("examples/speed");
    let old_python = install::venv(project, &tools::OLD_PYTHON)?.join("bin/python");
    let own_python = own_python(project)?;
    let mut test = project.cargo("test -p zerobuffer-c --test dist --no-fail-fast -- --nocapture");
    test.env("ZEROBUFFER_C_DIST", &dist).env("ZEROBUFFER_COMMAND", project.binary("zerobuffer"));
    test.env("ZEROBUFFER_TEST_OLD_PYTHON", old_python).env("ZEROBUFFER_CSHARP", csharp::build(project)?);
    test.env("ZEROBUFFER_TEST_OWN_PYTHON", own_python);
    test.env("ZEROBUFFER_C_OPENCV", OPENCV).env("ZEROBUFFER_RUST_SPEED", speed);
    run_within(LIMIT, &mut test)?;
    csharp::check(project, &dist)?;
    c_dist::debian::check(project, &dist)?;
    windows::c_library(project)
}

/// An interpreter with the package of this repository, as people install it.
fn own_python(project: &Project) -> Result<PathBuf> {
    let folder = install::venv(project, &tools::C_PYTHON)?;
    let interpreter = python::interpreter(project, &folder.join("bin/python"))?;
    for (_, wheel) in python::wheels(project, &[interpreter])? {
        install::wheel(project, &folder, &wheel)?;
    }
    Ok(folder.join("bin/python"))
}
