//! The step that builds the GStreamer plugin and compares pictures with GStreamer's own.

use std::time::Duration;

use anyhow::Result;

use crate::project::{Project, run, run_within};
use crate::{install, tools};

/// The plugin is a workspace of its own: nothing else here needs GStreamer.
const PLUGIN: &str = "--locked --manifest-path crates/gst-plugin-zerobuffer/Cargo.toml";
/// Several times what the tests take on two busy cores: only a hung test meets it.
const LIMIT: Duration = Duration::from_mins(10);

pub(super) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::GSTREAMER)?;
    // With ffplay, for the recipes of the papers.
    install::program(project, &tools::FFMPEG)?;
    run(&mut project.cargo("fmt --manifest-path crates/gst-plugin-zerobuffer/Cargo.toml --check"))?;
    run(&mut project.cargo(&format!("clippy {PLUGIN} --all-targets -- -D warnings")))?;
    let client = install::venv(project, &tools::ROCKET_WELDER)?.join("bin/python");
    // With the tests of the command further down: the same build.
    run(&mut project.cargo("build -p zerobuffer-cli --bin zerobuffer"))?;
    let mut test = project.cargo(&format!("test {PLUGIN} --no-fail-fast"));
    test.env("ZEROBUFFER_ROCKET_WELDER", client).env("ZEROBUFFER_COMMAND", project.binary("zerobuffer"));
    // What is skipped where a tool of GStreamer is missing is required here.
    test.env("ZEROBUFFER_GSTREAMER", "1");
    run_within(LIMIT, &mut test)?;
    for package in ["zerobuffer-video", "zerobuffer-cli"] {
        let mut test = project.cargo(&format!("test -p {package} --test gstreamer"));
        run_within(LIMIT, test.env("ZEROBUFFER_GSTREAMER", "1"))?;
    }
    Ok(())
}
