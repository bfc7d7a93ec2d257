//! The step that looks at the viewer and at the documentation with the programs of people: Chromium
//! and OpenCV.

use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run_within};
use crate::{docs, install, tools};

/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(10);

pub(super) fn check(project: &Project) -> Result<()> {
    install::program(project, &tools::FFMPEG)?;
    install::program(project, &tools::CHROMIUM)?;
    let python = install::venv(project, &tools::OPENCV)?.join("bin/python");
    // One test at a time: each has a browser of its own.
    let tests = "test -p zerobuffer-cli --test chromium --test view -- --nocapture --test-threads=1";
    let mut test = project.cargo(tests);
    let site = docs::build(project, None)?;
    // What is skipped where Chromium is missing is required here.
    test.env("ZEROBUFFER_CHROMIUM", "1")
        .env("ZEROBUFFER_TEST_OPENCV_PYTHON", python)
        .env("ZEROBUFFER_TEST_SITE", site);
    run_within(LIMIT, &mut test)
}
