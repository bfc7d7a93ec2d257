//! A Chromium without a screen, driven by its `DevTools` protocol.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::viewer::within;

/// The browser, which ends with this.
pub(crate) struct Browser {
    child: Child,
    web: WebSocket<TcpStream>,
    calls: u64,
    /// What pages have said that they should not: errors, dialogs.
    pub(crate) complaints: Vec<String>,
    _folder: tempfile::TempDir,
}

/// One page, by its session.
pub(crate) type Tab = String;

impl Browser {
    /// `None`, said on standard output, unless `ZEROBUFFER_CHROMIUM` says that it is wanted.
    pub(crate) fn start() -> Option<Browser> {
        if std::env::var_os("ZEROBUFFER_CHROMIUM").is_none_or(|value| value != "1") {
            println!("skipped: the step `viewer` sets ZEROBUFFER_CHROMIUM=1 and installs Chromium");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--no-first-run", "--force-color-profile=srgb", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
        let url = url.expect("Chromium says where it listens");
        // The pipe stays open: a browser that cannot write to it ends.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.trim_start_matches("ws://").split('/').next().unwrap().to_owned();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let web = tungstenite::client::client_with_config(url, stream, Some(config)).unwrap().0;
        Some(Browser { child, web, calls: 0, complaints: Vec::new(), _folder: folder })
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str, width: u32, height: u32, scheme: &str) -> Tab {
        let target = self.call(None, "Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session =
            self.call(None, "Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        let tab = Some(session.as_str());
        for domain in ["Page.enable", "Runtime.enable"] {
            self.call(tab, domain, json!({}));
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call(tab, "Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call(tab, "Emulation.setEmulatedMedia", scheme);
        self.call(tab, "Page.navigate", json!({"url": url}));
        session
    }

    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn call(&mut self, tab: Option<&str>, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": parameters});
        if let Some(tab) = tab {
            call["sessionId"] = tab.into();
        }
        self.web.send(Message::text(call.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.web.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => {
                    self.complaints.push(answer["params"].to_string());
                }
                Some("Runtime.consoleAPICalled") if answer["params"]["type"] == "error" => {
                    self.complaints.push(answer["params"]["args"].to_string());
                }
                _ => {}
            }
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// What a script in the page gives.
    pub(crate) fn eval(&mut self, tab: &str, script: &str) -> Value {
        let call = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call(Some(tab), "Runtime.evaluate", call);
        assert!(result["exceptionDetails"].is_null(), "{script}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until a condition of the page holds.
    pub(crate) fn wait(&mut self, tab: &str, condition: &str) {
        within(condition, || self.eval(tab, &format!("!!({condition})")).as_bool().filter(|holds| *holds));
    }

    /// Red, green and blue of each pixel of a part of the picture.
    pub(crate) fn pixels(&mut self, tab: &str, [x, y, width, height]: [u32; 4]) -> Vec<[u8; 3]> {
        let script = format!(
            "(() => {{ const data = document.querySelector('canvas.picture').getContext('2d')
               .getImageData({x}, {y}, {width}, {height}).data;
               let text = ''; for (let i = 0; i < data.length; i += 4096)
               text += String.fromCharCode(...data.subarray(i, i + 4096));
               return text; }})()"
        );
        let text = self.eval(tab, &script);
        let bytes: Vec<u8> = text.as_str().unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect();
        assert_eq!(bytes.len() as u32, width * height * 4);
        bytes.chunks(4).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    /// A picture of the page, as PNG in the folder `target/viewer`.
    pub(crate) fn screenshot(&mut self, tab: &str, name: &str) {
        let shot = self.call(Some(tab), "Page.captureScreenshot", json!({"format": "png"}));
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("viewer");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = base64(shot["data"].as_str().unwrap());
        assert!(bytes.starts_with(b"\x89PNG"));
        std::fs::write(folder.join(name), bytes).unwrap();
        println!("screenshot: {}", folder.join(name).display());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // In good order, since its parts are processes of their own.
        let close = json!({"id": 0, "method": "Browser.close"}).to_string();
        let _ = self.web.send(Message::text(close));
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(u32::from(c - b'A')),
        b'a'..=b'z' => Some(u32::from(c - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(c - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(digit).collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
