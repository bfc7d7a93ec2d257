//! The engine's configuration: what a bridge needs of Zenoh, and what it leaves off unless an
//! option asks for it.
use zenoh::{Config, Session, Wait as _};

use crate::fail::Fail;
use crate::say;

/// Where a bridge is found on its own machine, if nothing else is said.
const DEFAULT: &str = "tcp/127.0.0.1:7447";

/// How the bridges of two machines meet.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Connect to a bridge or a Zenoh router there: host:port, or an endpoint of Zenoh's, as
    /// tls/host:7447. May be repeated. It is tried for ever.
    #[arg(long, short, value_name = "ENDPOINT")]
    connect: Vec<String>,
    /// Listen there. May be repeated. Port 7447 of 127.0.0.1 is where `recv` listens, and where all
    /// others connect to, if neither option is given.
    #[arg(long, short, value_name = "ENDPOINT")]
    listen: Vec<String>,
    /// Zenoh's own configuration (JSON5): TLS, access control and all else.
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Find peers by multicast, and connect to all of them: off without this.
    #[arg(long)]
    scout: bool,
}

/// What the bridge does where neither side is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Listens,
    Connects,
}

/// Opens a session for messages of at most `largest` bytes.
pub(crate) fn open(options: &Options, side: Side, largest: u64) -> Result<Session, Fail> {
    let config = config(options, side, largest)?;
    zenoh::open(config).wait().map_err(|error| Fail::other(format!("cannot start the engine: {error}")))
}

fn config(options: &Options, side: Side, largest: u64) -> Result<Config, Fail> {
    let mut config = match &options.config {
        None => Config::default(),
        Some(file) => Config::from_file(file)
            .map_err(|error| Fail::usage(format!("'{file}' is no configuration of Zenoh: {error}")))?,
    };
    let told = options.config.is_some();
    let unsaid = Config::default().get_json("listen/endpoints").ok();
    let listens = told && config.get_json("listen/endpoints").ok() != unsaid;
    let mut set = |key: &str, value: &str| set(&mut config, key, value);
    // Loopback and given peers only. A file says all that it wants to be otherwise.
    let (connect, listen) = (endpoints(&options.connect)?, endpoints(&options.listen)?);
    let none = connect.is_empty() && listen.is_empty() && !told;
    let default = [DEFAULT.to_owned()];
    let connect = if none && side == Side::Connects { &default[..] } else { &connect[..] };
    let listen = if none && side == Side::Listens { &default[..] } else { &listen[..] };
    if !told || !connect.is_empty() {
        set("connect/endpoints", &json(connect))?;
    }
    // By itself a peer of the engine listens everywhere.
    if !listens || !listen.is_empty() {
        set("listen/endpoints", &json(listen))?;
    }
    set("scouting/multicast/enabled", if options.scout { "true" } else { "false" })?;
    if !options.scout {
        // A peer is not connected to because another one knows it.
        set("scouting/gossip/enabled", "false")?;
    }
    if !told {
        set("adminspace/enabled", "false")?;
        // Peers of a bridge are few; each may make the engine hold a message in parts.
        set("transport/unicast/max_sessions", "64")?;
        // Once a second is often enough for a machine that starts.
        set(
            "connect/retry",
            r#"{"period_init_ms": 100, "period_max_ms": 1000, "period_increase_factor": 2}"#,
        )?;
        // Large reads: a quarter less processor time for frames of 3 MB.
        set("transport/link/rx/buffer_size", "4194304")?;
    }
    // How long one frame may take. After 5 s, the engine's default, it closes the connection, and a
    // frame of 24 MB takes that long at 40 Mbit/s. A peer that is silent is noticed by its lease.
    if !told {
        set("transport/link/tx/queue/congestion_control/block/wait_before_close", "60000000")?;
    }
    // The engine drops what is larger, before it holds all of it.
    set("transport/link/rx/max_message_size", &largest.saturating_add(1 << 20).to_string())?;
    warn_of_open_doors(listen, told);
    Ok(config)
}

fn set(config: &mut Config, key: &str, value: &str) -> Result<(), Fail> {
    config
        .insert_json5(key, value)
        .map_err(|error| Fail::usage(format!("the engine does not take {key} = {value}: {error}")))
}

/// `host:port` is TCP; all else is the engine's own form.
fn endpoints(texts: &[String]) -> Result<Vec<String>, Fail> {
    let endpoint = |text: &String| {
        let endpoint = if text.contains('/') { text.clone() } else { format!("tcp/{text}") };
        match endpoint.split_once('/') {
            Some((_, address)) if address.contains(':') => Ok(endpoint),
            _ => Err(Fail::usage(format!(
                "'{text}' is no endpoint: write host:port, or for instance tls/host:7447"
            ))),
        }
    };
    texts.iter().map(endpoint).collect()
}

fn json(endpoints: &[String]) -> String {
    serde_json::to_string(endpoints).unwrap_or_else(|_| "[]".to_owned())
}

/// All who reach a plain TCP port see every frame, and can send some.
fn warn_of_open_doors(listen: &[String], told: bool) {
    let is_open = |endpoint: &&String| {
        let local = ["tcp/127.", "tcp/localhost:", "tcp/[::1]:"];
        endpoint.starts_with("tcp/") && !local.iter().any(|start| endpoint.starts_with(start))
    };
    for endpoint in listen.iter().filter(is_open).filter(|_| !told) {
        say::note(&format!(
            "{endpoint} is open to all who reach it, and not encrypted: use it in a network of your own, or give --config with TLS and access control"
        ));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn get(options: &Options, side: Side, key: &str) -> String {
        config(options, side, 64 << 20).unwrap().get_json(key).unwrap()
    }

    #[test]
    fn without_a_word_nothing_leaves_the_machine() {
        let options = Options::default();
        assert_eq!(get(&options, Side::Listens, "listen/endpoints"), r#"["tcp/127.0.0.1:7447"]"#);
        assert_eq!(get(&options, Side::Listens, "connect/endpoints"), "[]");
        assert_eq!(get(&options, Side::Connects, "listen/endpoints"), "[]");
        assert_eq!(get(&options, Side::Connects, "connect/endpoints"), r#"["tcp/127.0.0.1:7447"]"#);
        for side in [Side::Listens, Side::Connects] {
            assert_eq!(get(&options, side, "scouting/multicast/enabled"), "false");
            assert_eq!(get(&options, side, "scouting/gossip/enabled"), "false");
            assert_eq!(get(&options, side, "transport/link/rx/max_message_size"), (65 << 20).to_string());
        }
    }

    #[test]
    fn given_peers_are_the_only_ones() {
        let options = Options { connect: vec!["camera:7000".to_owned()], ..Options::default() };
        assert_eq!(get(&options, Side::Listens, "connect/endpoints"), r#"["tcp/camera:7000"]"#);
        assert_eq!(get(&options, Side::Listens, "listen/endpoints"), "[]");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in ["camera", "tcp/camera", ""] {
            let options = Options { connect: vec![text.to_owned()], ..Options::default() };
            let message = config(&options, Side::Connects, 1).unwrap_err().to_string();
            assert!(message.contains("is no endpoint"), "{text}: {message}");
        }
        let options = Options { config: Some("/nowhere".to_owned()), ..Options::default() };
        assert!(config(&options, Side::Connects, 1).unwrap_err().to_string().contains("/nowhere"));
    }
}
