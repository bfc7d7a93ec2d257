//! The step that runs a model of ultralytics over a stream.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::project::{Project, run_quietly, run_within};
use crate::python::{Interpreter, interpreters, wheels};
use crate::{install, tools};

/// Several times what the test takes on two busy cores: only a hung one meets it.
const LIMIT: Duration = Duration::from_mins(10);
/// Debian's interpreter, which finds Debian's torch: that one is for processors alone.
const PYTHON: &str = "/usr/bin/python3";

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::TORCH)?;
    let folder = project.cache.join("ultralytics");
    let python = folder.join("bin/python");
    if !folder.join("done").is_file() {
        run_quietly(
            project.command(PYTHON).args(["-m", "venv", "--clear", "--system-site-packages"]).arg(&folder),
        )?;
        let mut pip = project.command(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        // What it needs comes from Debian, or is named.
        run_quietly(pip.arg("--no-deps").args(tools::ULTRALYTICS))?;
        std::fs::write(folder.join("done"), "").context("cannot write into the environment")?;
    }
    // The wheel with the stable ABI is for Debian's interpreter, too.
    let mut others = interpreters(project)?;
    others.retain(Interpreter::uses_abi3);
    others.truncate(1);
    let pairs = wheels(project, &others)?;
    let (_, wheel) = pairs.first().context("no CPython from 3.11 on, to build the wheel with")?;
    install::wheel(project, &folder, wheel)?;
    let mut pytest = project.command(&python);
    pytest.args(["-m", "pytest", "-q", "-rs", "python/tests/test_ultralytics.py"]);
    run_within(LIMIT, pytest.env("ZEROBUFFER_ULTRALYTICS", "1"))
}
