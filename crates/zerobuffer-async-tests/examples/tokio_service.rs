//! A service on tokio: its handlers are `async` functions, its callers are tasks.
//!
//! `cargo run -p zerobuffer-async-tests --example tokio_service`
//!
//! Server and client are one process here; usually they are two.

use std::{sync::Arc, time::Duration};
use zerobuffer::{
    Frame,
    duplex::{BoxError, Client, ClientConfig, Responder, Server, ServerConfig},
};

/// Answers a text with its capitals, after a wait that blocks no thread.
async fn shout(request: Frame, mut response: Responder) -> Result<(), BoxError> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    response.write_async(&request.to_ascii_uppercase()).await?;
    Ok(())
}

async fn run(channel: &str) -> Result<(), BoxError> {
    let server = Server::new(channel, ServerConfig::default());
    let executor = tokio::runtime::Handle::current();
    server.start_async(move |task| drop(executor.spawn(task)), shout)?;

    let client = Arc::new(Client::connect_async(channel, ClientConfig::default()).await?);
    let calls = (0..20).map(|number| {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let request = format!("call {number}");
            // The time limit is the runtime's. A call that is given up mixes nothing up.
            let patience = Duration::from_secs(10);
            let response = tokio::time::timeout(patience, client.call_async(request.as_bytes())).await??;
            assert_eq!(response.data(), request.to_ascii_uppercase().as_bytes());
            Ok::<_, BoxError>(())
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await??;
    }
    println!("20 calls were answered");
    Ok(())
}

/// Asks twenty questions at a time.
pub fn example() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&format!("tokio-service-{}", std::process::id())))
}

/// Says in words what went wrong.
pub fn main() -> std::process::ExitCode {
    match example() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio service: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
