//! Pipelines in this process and in others, with the plugin as it was just built.
#![allow(dead_code, clippy::unwrap_used)]

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// A buffer name that no other test uses.
pub fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}zb-gst-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstzerobuffer::plugin_register_static().unwrap();
    });
}

pub fn launch(text: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(text).unwrap().downcast().unwrap()
}

/// Runs a pipeline until its end; the error message that ended it, if one did.
pub fn wait(pipeline: &gst::Pipeline, limit: Duration) -> Option<String> {
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_nseconds(limit.as_nanos() as u64), &kinds);
    let end = end.expect("the pipeline hangs");
    match end.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => None,
    }
}

pub fn run(text: &str) -> (gst::Pipeline, Option<String>) {
    let pipeline = launch(text);
    pipeline.set_state(gst::State::Playing).unwrap();
    let error = wait(&pipeline, Duration::from_secs(60));
    (pipeline, error)
}

/// A number of an element's `stats`.
pub fn stat(pipeline: &gst::Pipeline, element: &str, field: &str) -> u64 {
    let element = pipeline.by_name(element).unwrap();
    element.property::<gst::Structure>("stats").get(field).unwrap()
}

/// A folder with nothing but the plugin in it: GStreamer loads whatever lies beside it.
fn folder() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let built = std::env::current_exe().unwrap();
        // `cargo test` leaves it beside the tests, `cargo build` one folder up.
        let built = built.ancestors().skip(1).map(|folder| folder.join("libgstzerobuffer.so"));
        let built = built.into_iter().find(|path| path.is_file()).unwrap();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
        std::fs::create_dir_all(&folder).unwrap();
        // Another test program may be loading it at this moment: the name changes hands at once.
        let copy = folder.join(format!("{}", std::process::id()));
        std::fs::copy(built, &copy).unwrap();
        std::fs::rename(copy, folder.join("libgstzerobuffer.so")).unwrap();
        folder.to_str().unwrap().to_owned()
    })
}

/// A tool of GStreamer in a process of its own that knows the plugin.
pub fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("GST_PLUGIN_PATH", folder()).env("GST_REGISTRY", format!("{}/registry.bin", folder()));
    command
}

/// `gst-launch-1.0` with a pipeline, started.
pub fn start(pipeline: &str) -> Child {
    let mut command = tool("gst-launch-1.0");
    command.args(["-q", "-e"]).args(pipeline.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a process, at most a minute.
pub fn finish(mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("gst-launch hangs: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// What `checksumsink` printed: one checksum per frame.
pub fn checksums(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}
