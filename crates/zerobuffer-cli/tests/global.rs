//! `--global`: a buffer for all sessions where there are sessions, and a usual one elsewhere. Runs
//! on every system.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected panics")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
use zerobuffer::{BufferConfig, Reader, Writer, WriterConfig};

/// Nothing here takes seconds on an idle machine; only a hang reaches this.
const LIMIT: Duration = Duration::from_secs(90);

/// The command with `--global`, killed if the test fails.
struct Running(Option<Child>);

impl Running {
    fn start(arguments: &[&str], input: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zerobuffer"));
        command.args(arguments).arg("--global").env_remove("ZEROBUFFER_LOG");
        Self(Some(command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    /// Waits for its end, which must be a good one, and returns what it has printed.
    fn output(mut self) -> Vec<u8> {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn name(tag: &str) -> String {
    let mark = std::env::var("ZEROBUFFER_TEST_MARK").unwrap_or_default();
    format!("{mark}zb-{tag}-{}", std::process::id())
}

/// Whether a segment of that name exists in the namespace of the machine, and in that of the
/// session.
#[cfg(windows)]
fn spaces(name: &str) -> (bool, bool) {
    use std::os::windows::io::{FromRawHandle as _, OwnedHandle};
    use windows_sys::Win32::System::Memory::{FILE_MAP_READ, OpenFileMappingW};

    let exists = |object: String| {
        let wide: Vec<u16> = object.encode_utf16().chain([0]).collect();
        // SAFETY: the name is terminated and outlives the call.
        let handle = unsafe { OpenFileMappingW(FILE_MAP_READ, 0, wide.as_ptr()) };
        // SAFETY: a handle that is not null is valid, and this is its only owner.
        (!handle.is_null()).then(|| unsafe { OwnedHandle::from_raw_handle(handle) }).is_some()
    };
    (exists(format!(r"Global\{name}")), exists(name.to_owned()))
}

#[track_caller]
fn assert_global(name: &str) {
    #[cfg(windows)]
    assert_eq!(
        spaces(name),
        (true, false),
        "{name} is in the namespace of the machine, and not in the session's"
    );
    #[cfg(not(windows))]
    assert!(zerobuffer::observe::inspect(name).is_ok(), "{name} exists");
}

#[test]
fn recv_makes_a_global_buffer() {
    let name = name("global");
    let recv = Running::start(&["recv", &name, "--format", "raw", "--frames", "1"], Stdio::null());
    let mut writer = Writer::connect_with(&name, WriterConfig::default().connect_timeout(LIMIT)).unwrap();
    assert_global(&name);
    writer.write(b"to every session").unwrap();
    assert_eq!(recv.output(), b"to every session");
}

#[test]
fn call_makes_a_global_response_buffer() {
    let channel = name("global-call");
    let server = Server::new(&channel, ServerConfig::default());
    let response = format!("{channel}_response");
    server
        .start(move |request, mut responder| {
            assert_global(&response);
            Ok(responder.write(request.data()).map(drop)?)
        })
        .unwrap();
    let mut call = Running::start(&["call", &channel, "--wait", "60", "--timeout", "60"], Stdio::piped());
    let mut input = call.0.as_mut().unwrap().stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"a request").unwrap();
    drop(input);
    assert_eq!(call.output(), b"a request");
}

#[test]
fn serve_makes_a_global_request_buffer() {
    let channel = name("global-serve");
    let serve = Running::start(&["serve", &channel, "--exec", "cat"], Stdio::null());
    let config = ClientConfig::default().response_size(1024 * 1024).connect_timeout(LIMIT);
    let _client = Client::connect_with(&channel, config).unwrap();
    let request = format!("{channel}_request");
    assert_global(&request);
    drop(serve);
    // It was killed: what it has left goes with the next reader of that name.
    Reader::create(&request, BufferConfig::default()).unwrap().close().unwrap();
}
