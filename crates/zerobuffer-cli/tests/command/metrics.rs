//! `metrics`: printed, served, and read by the official Prometheus client.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::common::{Running, name, run, start};
use rustix::process::Signal;
use zerobuffer::{BufferConfig, Reader, Writer};

/// A server at a free port, and its address.
fn serving(names: &[&str]) -> (Running, String) {
    let mut server = start(&[&["metrics", "--listen", "127.0.0.1:0"], names].concat());
    server.wait_for("serving http://");
    let stderr = server.stderr();
    let address = stderr.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (server, address)
}

/// Sends `request` and gives the whole answer.
fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn printed_once() {
    let name = name();
    let mut reader = Reader::create(&name, BufferConfig::ring(4096).metadata(64)).unwrap();
    let mut writer = Writer::connect(&name).unwrap();
    for _ in 0..3 {
        writer.write(&[7; 100]).unwrap();
    }
    drop(reader.read().unwrap());
    let text = run(&["metrics", &name]).ok().text();
    for line in [
        String::from("zerobuffer_up 1"),
        String::from("zerobuffer_buffers 1"),
        format!("zerobuffer_frames_total{{buffer=\"{name}\"}} 3"),
        format!("zerobuffer_frames_waiting{{buffer=\"{name}\"}} 2"),
        format!("zerobuffer_ring_bytes{{buffer=\"{name}\"}} 4096"),
        format!("zerobuffer_reader_alive{{buffer=\"{name}\"}} 1"),
        format!("zerobuffer_writer_alive{{buffer=\"{name}\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
    // A name that is not there is no failure of the observer.
    assert!(run(&["metrics", "zb-no-such-buffer"]).ok().text().contains("zerobuffer_buffers 0"));
}

#[test]
fn served_until_stopped() {
    let name = name();
    let _reader = Reader::create(&name, BufferConfig::ring(4096)).unwrap();
    let (server, address) = serving(&[&name]);
    let mut writer = Writer::connect(&name).unwrap();
    writer.write(b"abc").unwrap();
    let page = || ask(&address, b"GET /metrics HTTP/1.1\r\nHost: localhost:9\r\n\r\n");
    crate::common::until("the frame is counted", || {
        page().contains(&format!("zerobuffer_frames_total{{buffer=\"{name}\"}} 1\n"))
    });
    let page = page();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{page}");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    assert!(body.contains("zerobuffer_last_frame_age_seconds{"), "{body}");

    for (request, status) in [
        (&b"HEAD /metrics HTTP/1.0\r\n\r\n"[..], "200"),
        (b"GET / HTTP/1.1\r\n\r\n", "200"),
        (b"GET /etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        // A name that another site has made to point here.
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        (b"x y\r\n\r\n", "400"),
        (&vec![b'x'; 20_000], "4"),
    ] {
        let answer = ask(&address, request);
        // What is not read of a request may cost the answer; the server goes on.
        assert!(answer.is_empty() || answer.contains(status), "{answer}");
    }
    // Clients that say nothing do not keep others out, beyond the number of connections.
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert!(ask(&address, b"GET /metrics HTTP/1.1\r\n\r\n").contains("200 OK"));
    drop(silent);
    server.signal(Signal::TERM);
    server.wait().stopped(143, &["SIGTERM"]);
}

#[test]
fn a_port_that_is_taken_and_an_address_that_is_none() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    run(&["metrics", "--listen", &address]).failed(5, &[&address, "another program does"]);
    run(&["metrics", "--listen", "192.0.2.1:9464"]).failed(2, &["192.0.2.1:9464", "127.0.0.1"]);
    run(&["metrics", "--listen", "localhost"]).failed(2, &["'localhost'"]);
}

#[test]
fn the_official_client_reads_them() {
    let Some(python) = crate::common::observers_python("prometheus_client") else { return };
    let odd = format!("{} \"odd\"\\", name());
    let _reader = Reader::create(&odd, BufferConfig::ring(4096)).unwrap();
    let mut writer = Writer::connect(&odd).unwrap();
    writer.write(b"abc").unwrap();
    let text = run(&["metrics"]).ok().stdout;
    let script = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families\n\
        families = list(text_string_to_metric_families(sys.stdin.buffer.read().decode()))\n\
        samples = [s for f in families for s in f.samples]\n\
        found = [s.value for s in samples if s.name == 'zerobuffer_frames_total' and s.labels['buffer'] == sys.argv[1]]\n\
        assert found == [1.0], found\n\
        assert all(f.documentation and f.type in ('gauge', 'counter') for f in families), families\n\
        assert len({(s.name, tuple(sorted(s.labels.items()))) for s in samples}) == len(samples)\n";
    let mut child = Command::new(python);
    let child = child.args(["-c", script, &odd]).stdin(std::process::Stdio::piped());
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/grafana-dashboard.json"));
    let dashboard: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    let page = run(&["metrics", "zb-no-such-buffer"]).ok().text();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 8);
    let mut asked = 0;
    for panel in panels {
        let expression = panel["targets"][0]["expr"].as_str().unwrap();
        for word in expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("zerobuffer_") {
                assert!(page.contains(&format!("# TYPE {word} ")), "{word}");
                asked += 1;
            }
        }
    }
    assert!(asked >= 8);
}
