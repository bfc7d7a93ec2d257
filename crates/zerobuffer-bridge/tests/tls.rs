//! What comes with the bridge: the example of TLS and access control, as docs/bridge.md shows it,
//! the unit file and the container recipe.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod packaging;
mod pages;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Bridge, check, name, next, port, reader, write, writer};

/// The example's files with the certificates that its script makes, and this machine's address.
fn example(folder: &Path, port: u16) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tls");
    let made = Command::new("sh")
        .arg(examples.join("certificates.sh"))
        .args(["localhost", "camera", "stranger"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let path = |file: &str| format!("\"{}\"", folder.join(file).display());
    for file in ["recv.json5", "send.json5"] {
        let mut text = std::fs::read_to_string(examples.join(file)).unwrap();
        for pem in ["ca.pem", "recv.key", "recv.pem", "camera.key", "camera.pem"] {
            text = text.replace(&format!("\"{pem}\""), &path(pem));
        }
        text = text.replace("tls/0.0.0.0:7447", &format!("tls/127.0.0.1:{port}"));
        text = text.replace("tls/recv.example:7447", &format!("tls/localhost:{port}"));
        if file == "send.json5" {
            std::fs::write(folder.join("stranger.json5"), text.replace("/camera.", "/stranger.")).unwrap();
        }
        std::fs::write(folder.join(file), text).unwrap();
    }
}

#[test]
fn the_example_lets_the_camera_in_and_nobody_else() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let port = port();
    example(&folder, port);
    let config = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    let (from, to, secret) = (name("from"), name("to"), name("secret"));
    let mut far = reader(&to, 4, 100_000);
    let unwanted = reader(&secret, 4, 100_000);
    let (cam, other) = (format!("lab/cam={to}"), format!("home/cam={secret}"));
    let recv = Bridge::start(&["recv", &cam, &other, "--config", &config("recv.json5")]);
    // The same authority has signed another name: nothing of it gets through.
    let strange = name("strange");
    let stranger =
        Bridge::start(&["send", &format!("{strange}=lab/cam"), "--config", &config("stranger.json5")]);
    let mut bad = writer(&strange);
    write(&mut bad, 1000, 666);
    // Without a certificate there is no connection.
    let plain = Bridge::start(&[
        "send",
        &format!("{}=lab/cam", name("plain")),
        "--connect",
        &format!("127.0.0.1:{port}"),
    ]);
    std::thread::sleep(Duration::from_secs(3));
    assert!(!stranger.said().contains("is there"), "{}", stranger.said());
    assert!(!plain.said().contains("is there"), "{}", plain.said());
    assert!(!far.is_writer_connected());
    // The camera, and a stream of it that is not below lab/.
    let hidden = name("hidden");
    let out = [format!("{from}=lab/cam"), format!("{hidden}=home/cam")];
    let send = Bridge::start(&["send", &out[0], &out[1], "--config", &config("send.json5")]);
    let mut good = writer(&from);
    for number in 1..=20 {
        write(&mut good, 100_000, number);
        assert_eq!(check(&next(&mut far)).0, number);
    }
    assert!(!unwanted.is_writer_connected());
    for bridge in [send, stranger, plain, recv] {
        bridge.stop();
    }
    std::fs::remove_dir_all(folder).unwrap();
}
