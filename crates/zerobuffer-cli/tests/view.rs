//! `view`: what its server gives, to clients of every kind.
// The tests speak to the command by signals of Unix.
#![cfg(unix)]
// Outside test functions, too: a helper that fails is a failed test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;
mod viewer;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{assert_same, name, run};
use rustix::process::Signal;
use viewer::{Stream, Viewer, encoded, within};
use zerobuffer::{BufferConfig, Reader, Writer};
use zerobuffer_video::Description;

/// Every format of the promise, at even and odd sizes, and one of 4K.
const PICTURES: [(&str, u32, u32); 15] = [
    ("I420", 64, 48),
    ("I420", 33, 17),
    ("NV12", 64, 48),
    ("NV12", 35, 19),
    ("NV12", 3840, 2160),
    ("RGB", 64, 48),
    ("RGB", 31, 17),
    ("BGR", 64, 48),
    ("BGR", 1, 1),
    ("GRAY8", 64, 48),
    ("GRAY8", 41, 3),
    ("GRAY16_LE", 64, 48),
    ("GRAY16_LE", 7, 5),
    ("GRAY16_BE", 8, 8),
    ("UYVY", 32, 16),
];

#[test]
fn snapshots_and_sockets_have_the_frame_that_was_sent() {
    let mut streams: Vec<Stream> = PICTURES
        .iter()
        .map(|(format, width, height)| Stream::new(&name(), format, *width, *height))
        .collect();
    let names: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    let viewer = Viewer::start(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (seed, stream) in streams.iter_mut().enumerate() {
        let picture = stream.picture(seed);
        stream.show(&picture);
        let what = format!("{} {} x {}", stream.video.format, stream.video.width, stream.video.height);
        let (status, head, raw) = viewer.get(&format!("/snapshot/{}.raw", stream.name));
        assert_eq!(status, 200, "{what}: {head}");
        assert_same(&raw, &picture);
        png_is(stream, &picture, &viewer.get(&format!("/snapshot/{}.png", stream.name)).2, &what);
        let (status, head, jpeg) = viewer.get(&format!("/snapshot/{}.jpg?width=100", stream.name));
        assert!(
            status == 200 && head.contains("image/jpeg") && jpeg.starts_with(&[0xff, 0xd8]),
            "{what}: {head}"
        );
        socket_is(&viewer, stream, &picture, &what);
    }
}

fn png_is(stream: &Stream, picture: &[u8], png: &[u8], what: &str) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    let info = decoder.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (stream.video.width, stream.video.height), "{what}");
    let format = stream.video.format.name();
    if let Some(order) = format.strip_prefix("GRAY16_") {
        assert_eq!(info.bit_depth, png::BitDepth::Sixteen);
        let swapped: Vec<u8> = picture.chunks(2).flat_map(|b| [b[1], b[0]]).collect();
        return assert_same(&pixels, if order == "LE" { &swapped } else { picture });
    }
    let channels = info.color_type.samples();
    assert_eq!(channels, if format == "GRAY8" { 1 } else { 3 }, "{what}");
    let tolerance = if matches!(format, "RGB" | "BGR" | "GRAY8") { 0.0 } else { 0.6 };
    for y in 0..info.height as usize {
        for x in 0..info.width as usize {
            let exact = stream.exact(picture, x, y);
            let found = &pixels[(y * info.width as usize + x) * channels..][..channels];
            for (found, exact) in found.iter().zip(exact) {
                assert!((f64::from(*found) - exact).abs() <= tolerance, "{what}: ({x}, {y}) {found} {exact}");
            }
        }
    }
}

fn socket_is(viewer: &Viewer, stream: &Stream, picture: &[u8], what: &str) {
    let mut socket = viewer.socket(&stream.name, "mode=pixels");
    let got = socket.next();
    assert_eq!((got.kind, got.sequence, got.size), (1, 1, picture.len() as u64), "{what}");
    let said = &socket.description["picture"];
    assert_eq!(said["format"], stream.video.format.name());
    let wire = said["wire"].as_str().unwrap();
    if wire == "RGBx" {
        // Not a format of browsers: as RGB of four bytes.
        let width = stream.video.width as usize;
        for (index, pixel) in got.payload.chunks(4).enumerate() {
            let exact = stream.exact(picture, index % width, index / width);
            for (found, exact) in pixel.iter().zip(exact) {
                assert!((f64::from(*found) - exact).abs() <= 0.6, "{what}");
            }
        }
        return;
    }
    assert_eq!(wire, stream.video.format.name());
    let planes: Vec<[usize; 2]> = serde_json::from_value(said["planes"].clone()).unwrap();
    for (plane, [offset, stride]) in stream.layout.planes().iter().zip(planes) {
        for y in 0..plane.rows {
            let row = &got.payload[offset + y * stride..][..plane.row];
            assert_same(row, &picture[plane.offset + y * plane.stride..][..plane.row]);
        }
    }
}

#[test]
fn the_newest_frame_only_and_no_client_waits_for_another() {
    let mut stream = Stream::new(&name(), "GRAY8", 640, 480);
    let viewer = Viewer::start(&[&stream.name]);
    let mut slow = viewer.socket(&stream.name, "");
    // More than it may have, and it reads nothing.
    slow.credit(1000);
    let mut fast = viewer.socket(&stream.name, "");
    let picture = stream.picture(0);
    for written in 1..=60u64 {
        stream.show(&picture);
        let got = fast.next();
        assert_eq!(got.sequence, written, "this one has every frame, at once");
    }
    // Without a credit nothing is sent, and then the newest.
    for _ in 0..20 {
        stream.show(&picture);
    }
    let got = fast.next();
    assert_eq!((got.sequence, got.missed), (80, 19));
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(slow.frame().sequence);
    }
    assert!(seen.is_sorted() && seen[3] <= 80, "{seen:?}");
    slow.web.get_mut().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(slow.web.read().is_err(), "a fifth frame was in a queue");
}

#[test]
fn a_rate_is_kept() {
    let mut stream = Stream::new(&name(), "GRAY8", 64, 48);
    let viewer = Viewer::start(&[&stream.name]);
    let mut socket = viewer.socket(&stream.name, "fps=10&mode=jpeg&width=32");
    let picture = stream.picture(0);
    stream.show(&picture);
    assert_eq!(socket.next().kind, 2);
    let started = Instant::now();
    for _ in 0..3 {
        stream.show(&picture);
        socket.next();
    }
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
}

#[test]
fn writers_and_buffers_that_come_anew() {
    let name = name();
    let mut stream = Stream::new(&name, "RGB", 32, 24);
    let viewer = Viewer::start(&[&name]);
    let mut socket = viewer.socket(&name, "");
    let picture = stream.picture(1);
    stream.show(&picture);
    assert_same(&socket.next().payload, &picture);
    // Another writer of the same pictures.
    let Stream { mut reader, writer, video, .. } = stream;
    drop(writer);
    while reader.try_read().is_ok_and(|frame| frame.is_some()) {}
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(&Description::video("test", &video).to_json()).unwrap();
    let picture: Vec<u8> = picture.iter().rev().copied().collect();
    writer.write(&picture).unwrap();
    assert_same(&socket.next().payload, &picture);
    // Another buffer of the same name, whose pictures have another size and format.
    drop((writer, reader));
    let mut stream = Stream::new(&name, "BGR", 8, 6);
    let picture = stream.picture(2);
    stream.show(&picture);
    assert_same(&socket.next().payload, &picture);
    let picture = &socket.description["picture"];
    assert_eq!((&picture["format"], &picture["width"]), (&"BGR".into(), &8.into()));
}

#[test]
fn stamps_and_frames_that_are_no_pictures() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(1024)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    writer.set_metadata(br#"{"caps":"audio/x-raw, format=(string)S16LE, layout=(string)interleaved, rate=(int)48000, channels=(int)1"}"#).unwrap();
    let frame: Vec<u8> = (0..10_000u32).map(|index| index as u8).collect();
    writer.write(&frame).unwrap();
    let viewer = Viewer::start(&[&name]);
    let mut socket = viewer.socket(&name, "");
    let got = socket.next();
    assert_eq!((got.kind, got.size, got.payload.len()), (3, 10_000, 4096));
    assert_eq!(socket.description["samples"], "S16LE");
    let (status, _, body) = viewer.get(&format!("/snapshot/{name}.png"));
    assert_eq!(status, 415, "{}", String::from_utf8_lossy(&body));
    assert_same(&viewer.get(&format!("/snapshot/{name}.raw")).2, &frame);
    while reader.try_read().unwrap().is_some() {}
}

/// It gets no picture, so it would be noticed by no write.
#[cfg(target_os = "linux")]
#[test]
fn an_mjpeg_client_of_frames_that_are_no_pictures_is_let_go() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(1 << 16).metadata(1024)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    let viewer = Viewer::start(&[&name]);
    let threads = || std::fs::read_dir(format!("/proc/{}/task", viewer.process.pid())).unwrap().count();
    let before = threads();
    let clients: Vec<TcpStream> = (0..5)
        .map(|_| {
            let mut client = TcpStream::connect(&viewer.address).unwrap();
            client.write_all(format!("GET /stream/{name}.mjpeg HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            client
        })
        .collect();
    let mut stream_until = |done: &dyn Fn(usize) -> bool| {
        for _ in 0..2000 {
            writer.write(&[7; 100]).unwrap();
            while reader.try_read().unwrap().is_some() {}
            std::thread::sleep(Duration::from_millis(5));
            if done(threads()) {
                return;
            }
        }
        panic!("{} threads, {before} before", threads());
    };
    stream_until(&|now| now >= before + 5);
    drop(clients);
    stream_until(&|now| now <= before);
}

#[test]
fn hostile_names_and_metadata_stay_text() {
    let odd = [
        format!("{}\"><img src=x onerror=alert(1)>", name()),
        format!("{} %2e%2e ?#&+", name()),
        format!("{}\n\u{202e}ünï", name()),
        format!("{}.png", name()),
    ];
    let mut buffers = Vec::new();
    for odd in &odd {
        let reader = Reader::create(odd, BufferConfig::ring(4096).metadata(512)).unwrap();
        let mut writer = Writer::connect(odd).unwrap();
        writer.set_metadata(br#"{"caps":"video/x-raw, format=(string)</script><script>alert(1)</script>, width=(int)1, height=(int)1"}"#).unwrap();
        writer.write(odd.as_bytes()).unwrap();
        buffers.push((reader, writer));
    }
    let viewer = Viewer::start(&odd.iter().map(String::as_str).collect::<Vec<_>>());
    for odd in &odd {
        assert_same(&viewer.get(&format!("/snapshot/{}.raw", encoded(odd))).2, odd.as_bytes());
        let mut socket = viewer.socket(odd, "");
        assert_eq!(socket.next().kind, 3);
        assert!(socket.description["note"].is_string() && socket.description["picture"].is_null());
    }
    let (_, head, body) = viewer.get("/api/streams");
    let api: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut names: Vec<&str> =
        api["streams"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut expected: Vec<&str> = odd.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(head.contains("application/json") && head.contains("nosniff"), "{head}");
    let (_, head, page) = viewer.get("/");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(!String::from_utf8(page).unwrap().contains("<script>"), "no script in the page itself");
    // Names that no buffer has, and ways out of where there is something.
    for path in
        ["/snapshot/..%2fetc.raw", "/snapshot/%00.raw", "/ws/", "/../main.js", "//", "/stream/x", "/assets"]
    {
        assert_eq!(viewer.get(path).0, 404, "{path}");
    }
}

#[test]
fn other_sites_and_other_machines() {
    let stream = Stream::new(&name(), "GRAY8", 4, 4);
    let viewer = Viewer::start(&[&stream.name]);
    let host = &viewer.address;
    let status = |head: &str| viewer.ask(&format!("GET {head}\r\n\r\n")).0;
    assert_eq!(status(&format!("/ HTTP/1.1\r\nHost: {host}")), 200);
    assert_eq!(status("/ HTTP/1.1\r\nHost: evil.example"), 403, "rebinding");
    assert_eq!(status(&format!("/api/streams HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example")), 403);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let path = format!("/ws/{}", stream.name);
    let origin = "Origin: http://evil.example";
    assert_eq!(status(&format!("{path} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n{upgrade}")), 403);
    let image = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image";
    assert_eq!(status(&format!("/snapshot/{}.jpg HTTP/1.1\r\nHost: {host}\r\n{image}", stream.name)), 403);
    assert_eq!(status(&format!("{path} HTTP/1.1\r\nHost: {host}")), 400, "no WebSocket");
    // A buffer that is not one of those that were named.
    let other = Stream::new(&name(), "GRAY8", 4, 4);
    for path in [format!("/ws/{}", other.name), format!("/stream/{}.mjpeg", other.name)] {
        assert_eq!(viewer.get(&path).0, 404, "{path}");
    }

    let open = Viewer::with(&[&stream.name, "--listen", "0.0.0.0:0"]);
    let stderr = open.process.stderr();
    let token = stderr.split("?token=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(token.len(), 32, "{stderr}");
    for path in ["/", "/metrics", "/api/streams", "/main.js", &path, "/?token=", "/?token=0"] {
        assert_eq!(open.get(path).0, 401, "{path}");
    }
    assert_eq!(open.get(&format!("/metrics?token={token}")).0, 200);
    let (status, head, _) = open.get(&format!("/?token={token}"));
    assert!(status == 303 && head.contains("HttpOnly; SameSite=Strict"), "{head}");
    let loopback = Viewer::with(&["--listen", "127.0.0.1:0", "--token"]);
    assert_eq!(loopback.get("/").0, 401);
}

#[test]
fn what_cannot_be_shown() {
    let missing = name();
    run(&["view", &missing, "--listen", "127.0.0.1:0"]).failed(4, &[&missing, "without names"]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    run(&["view", "--listen", &address]).failed(5, &[&address, "another program does"]);
    run(&["view", "--listen", "192.0.2.1:8080"]).failed(2, &["192.0.2.1:8080", "127.0.0.1"]);
    let mut short = common::command(&["view", "--listen", "127.0.0.1:0"]);
    short.env("ZEROBUFFER_VIEW_TOKEN", "short").stdout(std::process::Stdio::null());
    common::start_command(&mut short).finish().failed(2, &["ZEROBUFFER_VIEW_TOKEN", "at least 16"]);
    let viewer = Viewer::start(&[]);
    for path in [format!("/snapshot/{missing}.png"), format!("/stream/{missing}.mjpeg")] {
        let (status, _, body) = viewer.get(&path);
        let body = String::from_utf8(body).unwrap();
        assert!(status == 404 && body.contains(&missing), "{path}: {status} {body}");
    }
    let mut socket = viewer.socket(&missing, "");
    socket.credit(1);
    let stream = within("the socket waits for the stream", || {
        let message = socket.web.read().unwrap();
        assert!(message.to_text().unwrap().contains("gone"), "{message}");
        Some(Stream::new(&missing, "GRAY8", 4, 4))
    });
    let mut stream = stream;
    stream.show(&[7; 16]);
    assert_same(&socket.frame().payload, &[7; 16]);
    viewer.process.signal(Signal::TERM);
    viewer.process.wait().stopped(143, &["SIGTERM"]);
}

#[test]
fn metrics_and_the_list() {
    let mut stream = Stream::new(&name(), "GRAY8", 4, 4);
    stream.show(&[1; 16]);
    let viewer = Viewer::start(&[&stream.name]);
    let metrics = String::from_utf8(viewer.get("/metrics").2).unwrap();
    assert!(
        metrics.contains(&format!("zerobuffer_frames_total{{buffer=\"{}\"}} 1\n", stream.name)),
        "{metrics}"
    );
    let head = viewer.ask("HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.0 == 200 && head.2.is_empty());
    assert_eq!(viewer.ask("POST / HTTP/1.1\r\n\r\n").0, 405);
}

/// Pictures that go on until this is dropped.
fn moving(mut stream: Stream) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<Stream>) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        for seed in 0.. {
            let picture = stream.picture(seed);
            stream.show(&picture);
            let wait = stopped.recv_timeout(Duration::from_millis(40));
            if wait == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                break;
            }
        }
        stream
    });
    (stop, thread)
}

#[test]
fn mjpeg_for_ffmpeg_and_opencv() {
    let name = name();
    let (stop, thread) = moving(Stream::new(&name, "I420", 322, 241));
    let viewer = Viewer::start(&[&name]);
    let url = format!("http://{}/stream/{name}.mjpeg", viewer.address);
    match Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", &url])
        .output()
    {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(text.trim(), "mjpeg,322,241", "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(_) => common::missing("ffprobe is not there"),
    }
    // The step `viewer` sets it.
    if let Some(python) = std::env::var_os("ZEROBUFFER_TEST_OPENCV_PYTHON") {
        let script = "import sys, cv2\n\
            cap = cv2.VideoCapture(sys.argv[1])\n\
            assert cap.isOpened()\n\
            frames = [cap.read() for _ in range(5)]\n\
            assert all(ok and img.shape == (241, 322, 3) for ok, img in frames), frames\n\
            assert (frames[0][1] != frames[4][1]).any()\n";
        let output = Command::new(python).args(["-c", script, &url]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn a_slow_mjpeg_client_does_not_see_the_past() {
    let mut stream = Stream::new(&name(), "GRAY8", 640, 480);
    let viewer = Viewer::start(&[&stream.name]);
    let mut client = TcpStream::connect(&viewer.address).unwrap();
    let request = format!("GET /stream/{}.mjpeg?quality=90 HTTP/1.1\r\n\r\n", stream.name);
    client.write_all(request.as_bytes()).unwrap();
    // It reads nothing while many pictures come that do not compress.
    for seed in 0..80 {
        stream.show(&common::noise(640 * 480, seed));
        std::thread::sleep(Duration::from_millis(10));
    }
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut bytes, mut part) = (0, vec![0; 1 << 16]);
    while let Ok(count @ 1..) = client.read(&mut part) {
        bytes += count;
    }
    let picture = viewer.get(&format!("/snapshot/{}.jpg", stream.name)).2.len();
    println!("{bytes} bytes were on their way, of pictures of {picture}");
    assert!(picture > 150_000, "{picture}");
    assert!(bytes < 12 * picture, "{bytes} bytes in queues, of pictures of {picture}");
}
