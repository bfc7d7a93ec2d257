//! What the serving thread does with requests whose sender is in doubt, step by step.

use super::{
    super::{
        super::ServerConfig,
        handler::Handler,
        state::{Client, Dropped, Found, Held, Report},
        turns::Turns,
    },
    *,
};
use crate::writer::Writer;

fn service(channel: &str) -> Service {
    let config = ServerConfig::default().client_timeout(Some(Duration::from_millis(1))).on_error(|_| {});
    let handler = Handler::Answer(Box::new(|_, _| Ok(())));
    Service::new(Run::create(channel, config, Arc::new(handler), None).unwrap())
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

/// A service that keeps the request of a client that has no response buffer; and that client.
fn keeping(channel: &str) -> (Service, Writer) {
    let mut service = service(channel);
    let unanswerable = client(channel, 1);
    while !matches!(service.state, State::Unanswerable { request: Held::Request, .. }) {
        service.advance();
    }
    (service, unanswerable)
}

fn responses(channel: &str) -> Reader {
    let config = crate::BufferConfig::ring(4096).metadata(0).free_sequences(true);
    Reader::create(&response_name(channel), config).unwrap()
}

#[test]
fn a_kept_request_goes_when_its_clients_successor_has_come() {
    let channel = format!("zb-service-kept-{}", std::process::id());
    let (mut service, unanswerable) = keeping(&channel);
    drop(unanswerable);
    let _successor = client(&channel, 1);
    let _responses = responses(&channel);
    service.advance();
    assert!(
        matches!(service.state, State::Unanswerable { request: Held::Request, .. }),
        "{:?}",
        service.state
    );
    assert_eq!(held(&service), 3, "the successor's");
}

/// It has come after the last look at the request that was kept.
#[test]
fn a_kept_request_is_not_handled_with_the_successor_that_was_met() {
    let channel = format!("zb-service-met-{}", std::process::id());
    let (mut service, unanswerable) = keeping(&channel);
    drop(unanswerable);
    let mut successor = client(&channel, 0);
    let _responses = responses(&channel);
    let writer = Writer::connect(&response_name(&channel)).unwrap();
    let (requests, stop) = (lock(&service.run.handle).clone(), Arc::clone(&service.run.stop));
    let turns = Turns::new(&channel, writer, requests, false, None, stop, Arc::new(|_| {}));
    service.client = Some(Connected::new(turns));
    service.state = State::Serving(Client::Fresh { farewell: Report::Due });
    service.advance();
    assert_eq!(service.state, State::Serving(Client::Fresh { farewell: Report::Made }));
    successor.write(b"x").unwrap();
    service.advance();
    assert_eq!(service.state, State::Serving(Client::Begun));
}

#[test]
fn a_client_whose_response_buffer_comes_late_is_served_from_then_on() {
    let channel = format!("zb-service-late-{}", std::process::id());
    let mut service = service(&channel);
    let mut client = client(&channel, 2);
    while !matches!(service.state, State::Unanswerable { obstacle: Report::Made, .. }) {
        service.advance();
    }
    let _responses = responses(&channel);
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
