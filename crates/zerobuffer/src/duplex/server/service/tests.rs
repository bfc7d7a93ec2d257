//! What the serving thread does with requests whose sender is in doubt, step by step.

use super::{
    super::{
        super::ServerConfig,
        handler::Handler,
        state::{Client, Dropped, Found, Held, Report},
    },
    *,
};
use crate::writer::Writer;

fn service(channel: &str) -> Service {
    let config = ServerConfig::default().client_timeout(Some(Duration::from_millis(1))).on_error(|_| {});
    let handler = Handler::Answer(Box::new(|_, _| Ok(())));
    Service::new(Run::create(channel, config, handler).unwrap())
}

/// A client that has come after the server's last look for its response buffer.
fn client(channel: &str, requests: usize) -> Writer {
    let mut client = Writer::connect(&request_name(channel)).unwrap();
    (0..requests).for_each(|_| client.write(b"x").map(drop).unwrap());
    client
}

fn held(service: &Service) -> u64 {
    service.request.as_ref().unwrap().sequence()
}

#[test]
fn what_a_client_has_left_is_dropped_and_its_successors_request_is_kept() {
    let channel = format!("zb-service-left-{}", std::process::id());
    let mut service = service(&channel);
    drop(client(&channel, 3));
    service.left_behind = true;
    let _successor = client(&channel, 2);
    let swept = Event::Swept { dropped: Dropped::Requests, found: Found::Request };
    assert_eq!(service.sweep().unwrap(), swept);
    assert_eq!(held(&service), 5, "3 requests, and one number is left out");
}

#[test]
fn a_request_is_kept_although_there_was_no_response_buffer() {
    let channel = format!("zb-service-unanswerable-{}", std::process::id());
    let mut service = service(&channel);
    let unanswerable = client(&channel, 3);
    service.advance();
    assert!(matches!(service.state, State::Unanswerable { .. }), "{:?}", service.state);
    service.advance();
    assert!(
        matches!(service.state, State::Unanswerable { request: Held::Request, .. }),
        "{:?}",
        service.state
    );
    assert_eq!(held(&service), 1, "its first: it may have a response buffer by now");
    drop(unanswerable);
    let _successor = client(&channel, 1);
    service.sweep().unwrap();
    assert_eq!(held(&service), 5);
}

#[test]
fn a_client_whose_response_buffer_comes_late_is_served_from_then_on() {
    let channel = format!("zb-service-late-{}", std::process::id());
    let mut service = service(&channel);
    let mut client = client(&channel, 2);
    while !matches!(service.state, State::Unanswerable { obstacle: Report::Made, .. }) {
        service.advance();
    }
    let config = crate::BufferConfig::ring(4096).metadata(0).free_sequences(true);
    let _responses = crate::Reader::create(&response_name(&channel), config).unwrap();
    while service.client.is_none() {
        service.advance();
    }
    client.write(b"x").unwrap();
    service.advance();
    assert_eq!(service.state, State::Serving(Client::Begun));
}

#[test]
fn a_request_without_a_client_is_the_end_of_that_client() {
    let channel = format!("zb-service-none-{}", std::process::id());
    let mut service = service(&channel);
    service.state = State::Serving(Client::Begun);
    service.advance();
    assert!(matches!(service.state, State::Idle { farewell: Report::Made, .. }), "{:?}", service.state);
}
