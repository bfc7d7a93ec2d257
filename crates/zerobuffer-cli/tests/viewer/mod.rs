//! A viewer that runs, streams to look at, and clients that look.
#![allow(dead_code)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};
use zerobuffer::{BufferConfig, Reader, Writer};
use zerobuffer_video::{Description, Format, Layout, Video};

use super::common::{Running, start};

/// The command, and its address.
pub(crate) struct Viewer {
    pub(crate) process: Running,
    pub(crate) address: String,
}

impl Viewer {
    pub(crate) fn start(names: &[&str]) -> Viewer {
        Viewer::with(&[&["--listen", "127.0.0.1:0"], names].concat())
    }

    pub(crate) fn with(arguments: &[&str]) -> Viewer {
        let mut process = start(&[&["view"], arguments].concat());
        process.wait_for("in a browser");
        let stderr = process.stderr();
        let address = stderr.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Viewer { process, address }
    }

    /// Status, head and body of what is at `path`.
    pub(crate) fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    pub(crate) fn ask(&self, request: &str) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer[end + 4..].to_vec())
    }

    pub(crate) fn socket(&self, name: &str, query: &str) -> Socket {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let url = format!("ws://{}/ws/{}?{query}", self.address, encoded(name));
        // Frames of 4K are larger than its usual limit.
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let web = tungstenite::client::client_with_config(url, stream, Some(config)).unwrap().0;
        Socket { web, description: Value::Null, gone: None }
    }

    /// Processor time that the server has used, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / 100.0
    }
}

pub(crate) fn encoded(name: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(part).collect()
}

/// A page's end of the socket.
pub(crate) struct Socket {
    pub(crate) web: WebSocket<TcpStream>,
    pub(crate) description: Value,
    pub(crate) gone: Option<String>,
}

/// What came for one credit.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) kind: u64,
    pub(crate) sequence: u64,
    pub(crate) missed: u64,
    pub(crate) size: u64,
    pub(crate) number: u64,
    pub(crate) payload: Vec<u8>,
}

impl Socket {
    pub(crate) fn credit(&mut self, frames: u32) {
        self.web.send(Message::text(frames.to_string())).unwrap();
    }

    /// The next frame that is there for a credit given before.
    pub(crate) fn frame(&mut self) -> Got {
        loop {
            match self.web.read().unwrap() {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    match message["type"].as_str().unwrap() {
                        "gone" => self.gone = Some(message["why"].to_string()),
                        _ => self.description = message,
                    }
                }
                Message::Binary(bytes) => {
                    let number =
                        |index: usize| u64::from_le_bytes(bytes[index * 8..][..8].try_into().unwrap());
                    assert_eq!(Some(number(1)), self.description["id"].as_u64());
                    return Got {
                        kind: number(0),
                        sequence: number(2),
                        missed: number(3),
                        size: number(4),
                        number: number(5),
                        payload: bytes[64..].to_vec(),
                    };
                }
                _ => {}
            }
        }
    }

    pub(crate) fn next(&mut self) -> Got {
        self.credit(1);
        self.frame()
    }
}

/// A stream of pictures whose reader reads nothing of its own accord.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) video: Video,
    pub(crate) layout: Layout,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Stream {
    pub(crate) fn new(name: &str, format: &str, width: u32, height: u32) -> Stream {
        let video = Video::new(Format::from_name(format).unwrap(), width, height).unwrap();
        let layout = Layout::tight(&video).unwrap();
        let ring = (layout.size() as u64 + 64) * 2;
        let reader = Reader::create(name, BufferConfig::ring(ring.max(4096)).metadata(4096)).unwrap();
        let mut writer = Writer::connect(name).unwrap();
        writer.set_metadata(&Description::video("test", &video).to_json()).unwrap();
        Stream { name: name.to_owned(), video, layout, reader, writer }
    }

    /// Writes a picture and takes what was there before.
    pub(crate) fn show(&mut self, picture: &[u8]) {
        while self.reader.try_read().unwrap().is_some() {}
        self.writer.write(picture).unwrap();
    }

    /// A picture whose parts of 8 x 8 pixels differ, in every plane.
    pub(crate) fn picture(&self, seed: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.layout.size()];
        for (index, plane) in self.layout.planes().iter().enumerate() {
            let samples = plane.row / self.video.width.div_ceil(2).max(1) as usize;
            for y in 0..plane.rows {
                for x in 0..plane.row {
                    let (block, line) =
                        (x / (4 * samples.max(1)), y * 2 * self.video.height as usize / plane.rows / 16);
                    let value =
                        (block * 37 + line * 71 + index * 53 + (x % samples.max(1)) * 29 + seed * 11) % 200;
                    bytes[plane.offset + y * plane.stride + x] = 28 + value as u8;
                }
            }
        }
        bytes
    }

    /// One pixel as the formula has it, without any rounding on the way.
    pub(crate) fn exact(&self, picture: &[u8], x: usize, y: usize) -> [f64; 3] {
        let planes = self.layout.planes();
        let at = |plane: usize, column: usize, row: usize| {
            f64::from(picture[planes[plane].offset + row * planes[plane].stride + column])
        };
        let yuv = |y: f64, u: f64, v: f64| {
            let (red, blue) = if self.video.height > 576 { (0.2126, 0.0722) } else { (0.299, 0.114) };
            let luma = (y - 16.0) / 219.0;
            let (cb, cr) = ((u - 128.0) / 224.0, (v - 128.0) / 224.0);
            let r = luma + 2.0 * (1.0 - red) * cr;
            let b = luma + 2.0 * (1.0 - blue) * cb;
            [r, (luma - red * r - blue * b) / (1.0 - red - blue), b]
                .map(|value| (value * 255.0).clamp(0.0, 255.0))
        };
        match self.video.format.name() {
            "I420" => yuv(at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2)),
            "NV12" => yuv(at(0, x, y), at(1, x / 2 * 2, y / 2), at(1, x / 2 * 2 + 1, y / 2)),
            "UYVY" => yuv(at(0, x * 2 + 1, y), at(0, x / 2 * 4, y), at(0, x / 2 * 4 + 2, y)),
            "RGB" => [0, 1, 2].map(|c| at(0, x * 3 + c, y)),
            "BGR" => [2, 1, 0].map(|c| at(0, x * 3 + c, y)),
            "Y444" => yuv(at(0, x, y), at(1, x, y), at(2, x, y)),
            "BGRA" => [2, 1, 0].map(|c| at(0, x * 4 + c, y)),
            "GRAY16_LE" => [at(0, x * 2 + 1, y); 3],
            "GRAY16_BE" => [at(0, x * 2, y); 3],
            _ => [at(0, x, y); 3],
        }
    }
}

/// Waits for something that another process does.
pub(crate) fn within<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
