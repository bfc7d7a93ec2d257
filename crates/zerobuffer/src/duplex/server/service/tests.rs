//! What the serving thread does with requests whose sender is in doubt, step by step.

use super::{
    super::{super::ServerConfig, handler::Handler},
    *,
};

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

#[test]
fn what_a_client_has_left_is_dropped_and_its_successors_request_is_kept() {
    let channel = crate::testing::name("zb-service-left");
    let mut service = service(&channel);
    drop(client(&channel, 3));
    service.coming = Some(1);
    let handle = lock(&service.run.handle).clone();
    let _successor = client(&channel, 2);
    assert!(service.clear_up(&handle, true, false).unwrap());
    assert_eq!(service.held.unwrap().sequence(), 5, "3 requests, and one number is left out");
}

#[test]
fn a_request_is_kept_although_there_was_no_response_buffer() {
    let channel = crate::testing::name("zb-service-mute");
    let mut service = service(&channel);
    let mute = client(&channel, 3);
    assert!(service.await_client().unwrap(), "looks for a response buffer in vain");
    let handle = lock(&service.run.handle).clone();
    assert!(service.clear_up(&handle, false, false).unwrap());
    assert_eq!(
        service.held.as_ref().unwrap().sequence(),
        1,
        "its first: it may have a response buffer by now"
    );
    drop(mute);
    let _successor = client(&channel, 1);
    assert!(service.clear_up(&handle, false, false).unwrap());
    assert_eq!(service.held.unwrap().sequence(), 5);
}

#[test]
fn a_client_whose_response_buffer_comes_late_is_served_from_then_on() {
    let channel = crate::testing::name("zb-service-late");
    let mut service = service(&channel);
    let mut client = client(&channel, 2);
    while service.mute.as_ref().is_none_or(|mute| !mute.given_up) {
        assert!(service.await_client().unwrap());
    }
    let config = crate::BufferConfig::new(0, 4096).free_sequences(true);
    let _responses = crate::Reader::create(&response_name(&channel), config).unwrap();
    while service.client.is_none() {
        assert!(service.await_client().unwrap());
    }
    client.write(b"x").unwrap();
    assert!(service.step().unwrap());
    assert!(service.client.unwrap().begun);
}
