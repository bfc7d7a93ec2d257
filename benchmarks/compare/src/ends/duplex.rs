//! `ZeroBuffer`'s duplex channel.

use anyhow::Result;
use zerobuffer::duplex::{Client, ClientConfig, Server, ServerConfig};
use zerobuffer::{BufferConfig, FRAME_HEADER_SIZE};

use super::transport::{PATIENCE, Shape};

fn ring(Shape { bytes, depth }: Shape) -> u64 {
    (bytes as u64 + FRAME_HEADER_SIZE) * depth as u64
}

pub(crate) fn client(name: &str, shape: Shape) -> Result<Client> {
    let config = ClientConfig::default().response_size(ring(shape)).connect_timeout(PATIENCE);
    Ok(Client::connect_with(name, config)?)
}

/// Sends each request back as it is, once `look` has seen it.
pub(crate) fn server(
    name: &str,
    shape: Shape,
    look: impl Fn(&[u8]) + Send + Sync + 'static,
) -> Result<Server> {
    let server =
        Server::new(name, ServerConfig::default().buffer(BufferConfig::ring(ring(shape)).metadata(0)));
    server.start(move |request, mut response| {
        look(request.data());
        response.write(request.data())?;
        Ok(())
    })?;
    Ok(server)
}
