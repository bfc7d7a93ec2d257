//! Peers that speak the engine's language, and lie.
mod channels;
mod streams;

use std::time::Duration;

use zenoh::qos::CongestionControl;
use zenoh::{Config, Session, Wait as _};

fn join(port: u16) -> Session {
    let mut config = Config::default();
    config.insert_json5("connect/endpoints", &format!("[\"tcp/127.0.0.1:{port}\"]")).unwrap();
    config.insert_json5("listen/endpoints", "[]").unwrap();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    zenoh::open(config).wait().unwrap()
}

fn put(session: &Session, key: &str, payload: Vec<u8>, attachment: Vec<u8>) {
    session
        .put(key, payload)
        .attachment(attachment)
        .congestion_control(CongestionControl::Block)
        .wait()
        .unwrap();
}

fn tokens(session: &Session, pattern: &str) -> Vec<String> {
    let replies =
        session.liveliness().get(pattern.to_owned()).timeout(Duration::from_secs(2)).wait().unwrap();
    replies.into_iter().filter_map(|reply| Some(reply.into_result().ok()?.key_expr().to_string())).collect()
}
